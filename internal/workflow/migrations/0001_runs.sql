-- +goose Up
CREATE TABLE workflow_runs (
	n         BIGINT PRIMARY KEY, -- rises with every run; lists are in its order
	id        TEXT NOT NULL UNIQUE,
	namespace TEXT NOT NULL,
	workflow  TEXT NOT NULL,
	version   BIGINT NOT NULL,
	digest    TEXT NOT NULL,
	title     TEXT NOT NULL,
	trace     TEXT NOT NULL,
	request   TEXT NOT NULL,
	requester TEXT NOT NULL,
	parent    TEXT NOT NULL, -- run ID of the caller; '' for a root
	state     TEXT NOT NULL,
	flags     TEXT NOT NULL, -- separated by spaces
	reason    TEXT NOT NULL, -- JSON or ''
	failure   TEXT NOT NULL, -- JSON or ''
	created   BIGINT NOT NULL,
	ended     BIGINT NOT NULL, -- 0 while it has not
	busy      BIGINT NOT NULL, -- 1 while something is with a worker: loaded at start
	wake      BIGINT NOT NULL  -- of a run that is not busy: when its next timer is due; 0 is never
);
CREATE INDEX workflow_runs_list ON workflow_runs (namespace, n);
CREATE INDEX workflow_runs_trace ON workflow_runs (trace);
CREATE INDEX workflow_runs_request ON workflow_runs (request) WHERE request <> '';
CREATE INDEX workflow_runs_parent ON workflow_runs (parent) WHERE parent <> '';
CREATE INDEX workflow_runs_busy ON workflow_runs (n) WHERE busy = 1;
CREATE INDEX workflow_runs_wake ON workflow_runs (wake) WHERE wake > 0;

-- A row is what one command decided; seq is the number of its last event in the run.
CREATE TABLE workflow_journal (
	run    BIGINT NOT NULL,
	seq    BIGINT NOT NULL,
	at     BIGINT NOT NULL,
	events TEXT NOT NULL,
	PRIMARY KEY (run, seq)
) WITHOUT ROWID;

CREATE TABLE workflow_definitions (digest TEXT PRIMARY KEY, document TEXT NOT NULL);

CREATE TABLE workflow_keys (
	namespace TEXT NOT NULL,
	key       TEXT NOT NULL,
	body      TEXT NOT NULL, -- SHA-256 of what was asked
	run       TEXT NOT NULL,
	PRIMARY KEY (namespace, key)
);

CREATE TABLE workflow_approvals (
	run       TEXT NOT NULL,
	task      TEXT NOT NULL,
	namespace TEXT NOT NULL,
	asked     BIGINT NOT NULL,
	approval  TEXT NOT NULL,
	PRIMARY KEY (run, task)
);
CREATE INDEX workflow_approvals_list ON workflow_approvals (namespace, asked);

-- A run whose journal cannot be applied. It stops nothing else.
CREATE TABLE workflow_poison (run TEXT PRIMARY KEY, at BIGINT NOT NULL, error TEXT NOT NULL);
