-- +goose Up
CREATE TABLE secret_secrets (
	namespace TEXT NOT NULL,
	name TEXT NOT NULL,
	version BIGINT NOT NULL, -- rises with every change, also over a deletion
	sealed TEXT NOT NULL, -- base64; empty where the secret is deleted
	author TEXT NOT NULL,
	updated BIGINT NOT NULL,
	PRIMARY KEY (namespace, name)
);
