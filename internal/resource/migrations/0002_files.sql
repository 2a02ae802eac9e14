-- +goose Up
-- What a request asked for and the file it committed: to change, delete and roll back.
ALTER TABLE resource_changes ADD COLUMN action TEXT NOT NULL DEFAULT 'create';
ALTER TABLE resource_changes ADD COLUMN entry TEXT NOT NULL DEFAULT '';
ALTER TABLE resource_changes ADD COLUMN params TEXT NOT NULL DEFAULT '';
ALTER TABLE resource_changes ADD COLUMN ttl BIGINT NOT NULL DEFAULT 0; -- microseconds; 0 is none
ALTER TABLE resource_changes ADD COLUMN source TEXT NOT NULL DEFAULT ''; -- api.SourceRef, or ''

-- The request that is changing a resource: one at a time.
CREATE TABLE resource_holds (
	namespace TEXT NOT NULL,
	type TEXT NOT NULL,
	name TEXT NOT NULL,
	request TEXT NOT NULL,
	PRIMARY KEY (namespace, type, name)
);
CREATE INDEX resource_holds_request ON resource_holds (namespace, request);

-- When a resource is to be deleted. request is the one it stands at; tries makes each filing's key.
CREATE TABLE resource_expiries (
	namespace TEXT NOT NULL,
	type TEXT NOT NULL,
	name TEXT NOT NULL,
	request TEXT NOT NULL,
	due BIGINT NOT NULL,
	tries BIGINT NOT NULL,
	filed TEXT NOT NULL, -- '' before, 'asked', then the request
	PRIMARY KEY (namespace, type, name)
);
CREATE INDEX resource_expiries_due ON resource_expiries (filed, due);

-- What was last seen of a resource in the world.
CREATE TABLE resource_observations (
	namespace TEXT NOT NULL,
	type TEXT NOT NULL,
	name TEXT NOT NULL,
	run TEXT NOT NULL,
	state TEXT NOT NULL,
	at BIGINT NOT NULL,
	world TEXT NOT NULL,
	failure TEXT NOT NULL,
	PRIMARY KEY (namespace, type, name)
);
CREATE INDEX resource_observations_run ON resource_observations (namespace, run);

-- +goose Down
DROP TABLE resource_observations;
DROP TABLE resource_expiries;
DROP TABLE resource_holds;
ALTER TABLE resource_changes DROP COLUMN source;
ALTER TABLE resource_changes DROP COLUMN ttl;
ALTER TABLE resource_changes DROP COLUMN params;
ALTER TABLE resource_changes DROP COLUMN entry;
ALTER TABLE resource_changes DROP COLUMN action;
