-- +goose Up
-- Every request that had a run is a row in the life of its resource; current marks the one the
-- resource stands at: the last that succeeded and was not undone.
CREATE TABLE resource_changes (
	namespace TEXT NOT NULL,
	type TEXT NOT NULL,
	name TEXT NOT NULL,
	request TEXT NOT NULL,
	run TEXT NOT NULL,
	trace TEXT NOT NULL,
	requester TEXT NOT NULL,
	state TEXT NOT NULL,
	undone BIGINT NOT NULL,
	pos BIGINT NOT NULL,
	at BIGINT NOT NULL,
	spec TEXT NOT NULL,
	outputs TEXT NOT NULL,
	known BIGINT NOT NULL,
	current BIGINT NOT NULL,
	PRIMARY KEY (namespace, type, name, request)
);
CREATE INDEX resource_current ON resource_changes (namespace, current, type, name);

CREATE TABLE resource_commits (
	namespace TEXT NOT NULL,
	idem TEXT NOT NULL,
	hash TEXT NOT NULL,
	repository TEXT NOT NULL,
	revision TEXT NOT NULL,
	at BIGINT NOT NULL,
	PRIMARY KEY (namespace, idem)
);

-- +goose Down
DROP TABLE resource_commits;
DROP TABLE resource_changes;
