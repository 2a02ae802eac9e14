-- +goose Up
-- Who has, or waits for, a place under a limit; and the keys of once, which stay with what came of them.
CREATE TABLE workflow_places (
	namespace TEXT NOT NULL,
	key       TEXT NOT NULL,
	once      BIGINT NOT NULL, -- 1: a key of once
	run       TEXT NOT NULL,
	path      TEXT NOT NULL, -- '' is the run itself
	most      BIGINT NOT NULL,
	priority  BIGINT NOT NULL,
	place     BIGINT NOT NULL, -- rises with each asking: the order of waiting
	granted   BIGINT NOT NULL,
	PRIMARY KEY (run, path, once)
);
CREATE TABLE workflow_once (
	namespace TEXT NOT NULL,
	key       TEXT NOT NULL,
	run       TEXT NOT NULL,
	path      TEXT NOT NULL,
	out       TEXT NOT NULL,
	at        BIGINT NOT NULL,
	PRIMARY KEY (namespace, key)
);
