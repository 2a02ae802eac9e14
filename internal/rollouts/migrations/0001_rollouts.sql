-- +goose Up
CREATE TABLE rollouts_entities (
	namespace TEXT NOT NULL,
	entity TEXT NOT NULL, -- empty for the budgets of the namespace
	revision BIGINT NOT NULL, -- compared and raised by every write, also by a deletion
	events BIGINT NOT NULL, -- how many there have been
	head TEXT NOT NULL, -- JSON of package rollout; empty where the entity is deleted
	PRIMARY KEY (namespace, entity)
);
CREATE TABLE rollouts_targets (
	namespace TEXT NOT NULL,
	entity TEXT NOT NULL,
	division BYTEA NOT NULL, -- the group; bytes, because names may be any text
	name BYTEA NOT NULL,
	data BYTEA NOT NULL, -- a record of package rollout
	PRIMARY KEY (namespace, entity, division, name)
);
CREATE TABLE rollouts_events (
	namespace TEXT NOT NULL,
	entity TEXT NOT NULL,
	seq BIGINT NOT NULL,
	event TEXT NOT NULL,
	PRIMARY KEY (namespace, entity, seq)
);
