-- +goose Up
CREATE TABLE identity_users (
	name TEXT PRIMARY KEY,
	password TEXT NOT NULL, -- argon2id; empty where the user cannot log in
	mail TEXT NOT NULL,
	grants TEXT NOT NULL, -- JSON
	off BIGINT NOT NULL,
	created BIGINT NOT NULL
);

CREATE TABLE identity_sessions (
	hash TEXT PRIMARY KEY, -- SHA-256 of the secret, hex
	owner TEXT NOT NULL REFERENCES identity_users (name) ON DELETE CASCADE,
	expires BIGINT NOT NULL
);
CREATE INDEX identity_sessions_owner ON identity_sessions (owner);
CREATE INDEX identity_sessions_expires ON identity_sessions (expires);

CREATE TABLE identity_tokens (
	id TEXT PRIMARY KEY,
	hash TEXT NOT NULL UNIQUE,
	name TEXT NOT NULL,
	owner TEXT NOT NULL REFERENCES identity_users (name) ON DELETE CASCADE,
	grants TEXT NOT NULL, -- JSON; empty where the token may do what its user may
	expires BIGINT NOT NULL,
	used BIGINT NOT NULL,
	created BIGINT NOT NULL
);
CREATE INDEX identity_tokens_owner ON identity_tokens (owner);

CREATE TABLE identity_namespaces (
	name TEXT PRIMARY KEY,
	title TEXT NOT NULL,
	created BIGINT NOT NULL
);

-- One row: the hash of the bootstrap token, empty once it is spent. It is also the lock of all users.
CREATE TABLE identity_state (id BIGINT PRIMARY KEY, bootstrap TEXT NOT NULL);
INSERT INTO identity_state (id, bootstrap) VALUES (1, '');
