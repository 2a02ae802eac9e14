-- +goose Up
CREATE TABLE rollouts_keys (
	namespace TEXT NOT NULL,
	idem TEXT NOT NULL, -- the Idempotency-Key of a call
	hash TEXT NOT NULL, -- of what it asked
	taken BIGINT NOT NULL, -- microseconds since 1970; forgotten after some days
	PRIMARY KEY (namespace, idem)
);
CREATE INDEX rollouts_keys_taken ON rollouts_keys (taken);
