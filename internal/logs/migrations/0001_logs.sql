-- +goose Up
CREATE TABLE logs_runs (
	run TEXT PRIMARY KEY,
	namespace TEXT NOT NULL,
	last BIGINT NOT NULL, -- position of the newest line
	packed BIGINT NOT NULL, -- up to here the lines are in chunks
	bytes BIGINT NOT NULL, -- of text stored in all
	dropped BIGINT NOT NULL, -- lines past the limit since the run last ended
	capped BIGINT NOT NULL, -- 1: the line that says so is stored
	ended BIGINT NOT NULL, -- 1: the run has ended
	due BIGINT NOT NULL -- when to pack the lines, or to ask whether the run has ended; 0 is never
);
CREATE INDEX logs_runs_due ON logs_runs (due);

-- Lines of runs that go on, or ended just now.
CREATE TABLE logs_lines (
	run TEXT NOT NULL,
	pos BIGINT NOT NULL, -- from 1 without gaps in the run
	task TEXT NOT NULL,
	attempt BIGINT NOT NULL,
	seq BIGINT NOT NULL,
	at BIGINT NOT NULL,
	stream TEXT NOT NULL,
	line TEXT NOT NULL,
	PRIMARY KEY (run, pos)
);
CREATE UNIQUE INDEX logs_lines_seq ON logs_lines (run, task, attempt, seq);

-- Lines of ended runs: compressed JSON lines, here or, where large, in the blob store.
CREATE TABLE logs_chunks (
	run TEXT NOT NULL,
	first BIGINT NOT NULL,
	last BIGINT NOT NULL,
	digest TEXT NOT NULL, -- of the blob; empty where data holds the chunk
	data TEXT NOT NULL, -- base64
	PRIMARY KEY (run, first)
);

-- Which lines of an attempt are in chunks, so that one sent again is not stored again.
CREATE TABLE logs_seen (
	run TEXT NOT NULL,
	task TEXT NOT NULL,
	attempt BIGINT NOT NULL,
	spans TEXT NOT NULL, -- JSON [[1,120],[130,140]]
	PRIMARY KEY (run, task, attempt)
);
