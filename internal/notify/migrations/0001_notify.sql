-- +goose Up
CREATE TABLE notify_mails (
	id TEXT PRIMARY KEY,
	namespace TEXT NOT NULL,
	idem TEXT NOT NULL, -- idempotency key; empty is none
	recipients TEXT NOT NULL, -- JSON
	rest TEXT NOT NULL, -- JSON: recipients still to be tried
	refused TEXT NOT NULL, -- JSON: "address: why", of recipients that never will be
	subject TEXT NOT NULL,
	body TEXT NOT NULL,
	trace TEXT NOT NULL,
	author TEXT NOT NULL,
	state TEXT NOT NULL, -- pending, succeeded or failed
	error TEXT NOT NULL, -- why it is still pending, or has failed
	tries BIGINT NOT NULL,
	next_at BIGINT NOT NULL, -- when to try (again); while a replica tries, when another may
	created BIGINT NOT NULL,
	sent BIGINT NOT NULL
);
CREATE INDEX notify_mails_due ON notify_mails (state, next_at);
CREATE INDEX notify_mails_created ON notify_mails (namespace, created, id);
CREATE INDEX notify_mails_trace ON notify_mails (namespace, trace);
CREATE UNIQUE INDEX notify_mails_idem ON notify_mails (namespace, idem) WHERE idem <> '';
