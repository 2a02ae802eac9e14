-- +goose Up
CREATE TABLE request_requests (
	id TEXT PRIMARY KEY,
	namespace TEXT NOT NULL,
	trace TEXT NOT NULL,
	resubmits TEXT NOT NULL,
	entry TEXT NOT NULL,
	type TEXT NOT NULL,
	name TEXT NOT NULL,
	title TEXT NOT NULL,
	params TEXT NOT NULL,
	spec TEXT NOT NULL,
	workflow TEXT NOT NULL,
	inputs TEXT NOT NULL,
	run TEXT NOT NULL,
	file TEXT NOT NULL,
	state TEXT NOT NULL,
	reason TEXT NOT NULL DEFAULT '', -- why it waits: JSON or ''
	flags TEXT NOT NULL,
	failure TEXT NOT NULL,
	outputs TEXT NOT NULL,
	requester TEXT NOT NULL,
	notify TEXT NOT NULL,
	tell TEXT NOT NULL,
	starting BIGINT NOT NULL,
	endings BIGINT NOT NULL,
	created BIGINT NOT NULL,
	ended BIGINT NOT NULL
);
CREATE INDEX request_newest ON request_requests (namespace, created, id);
CREATE INDEX request_by_trace ON request_requests (namespace, trace);

CREATE TABLE request_keys (
	namespace TEXT NOT NULL,
	idem TEXT NOT NULL,
	hash TEXT NOT NULL,
	request TEXT NOT NULL,
	PRIMARY KEY (namespace, idem)
);

-- +goose Down
DROP TABLE request_keys;
DROP TABLE request_requests;
