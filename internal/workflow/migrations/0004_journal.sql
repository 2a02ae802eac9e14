-- +goose Up
-- Rows in the order they were written, with an index beside them: the rows of the many runs of a commit
-- fill a few pages, where they dirtied a page for each run when they were kept in the order of the key.
-- Names and columns are as before, so that the release before this one still reads and writes it.
ALTER TABLE workflow_journal RENAME TO workflow_journal_sorted;
CREATE TABLE workflow_journal (
	run    BIGINT NOT NULL,
	seq    BIGINT NOT NULL,
	at     BIGINT NOT NULL,
	events TEXT NOT NULL,
	PRIMARY KEY (run, seq)
);
INSERT INTO workflow_journal (run, seq, at, events) SELECT run, seq, at, events FROM workflow_journal_sorted ORDER BY run, seq;
DROP TABLE workflow_journal_sorted;
