-- +goose Up
CREATE TABLE file_files (
	id TEXT PRIMARY KEY,
	namespace TEXT NOT NULL,
	idem TEXT NOT NULL, -- idempotency key; empty is none
	name TEXT NOT NULL,
	type TEXT NOT NULL,
	digest TEXT NOT NULL,
	size BIGINT NOT NULL,
	trace TEXT NOT NULL,
	author TEXT NOT NULL,
	created BIGINT NOT NULL
);
CREATE INDEX file_files_created ON file_files (namespace, created, id);
CREATE INDEX file_files_trace ON file_files (namespace, trace);
CREATE INDEX file_files_digest ON file_files (digest);
CREATE UNIQUE INDEX file_files_idem ON file_files (namespace, idem) WHERE idem <> '';

-- A row for each blob there may be. Locked by whoever adds a file of it or deletes it.
CREATE TABLE file_blobs (
	digest TEXT PRIMARY KEY,
	unused BIGINT NOT NULL -- 1: no file refers to it any more, delete it
);
CREATE INDEX file_blobs_unused ON file_blobs (unused);
