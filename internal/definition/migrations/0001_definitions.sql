-- +goose Up
CREATE TABLE definition_heads (
	namespace TEXT NOT NULL,
	kind TEXT NOT NULL,
	name TEXT NOT NULL,
	version BIGINT NOT NULL,
	digest TEXT NOT NULL,
	deleted BIGINT NOT NULL,
	PRIMARY KEY (namespace, kind, name)
);

CREATE TABLE definition_versions (
	namespace TEXT NOT NULL,
	kind TEXT NOT NULL,
	name TEXT NOT NULL,
	version BIGINT NOT NULL,
	digest TEXT NOT NULL,
	title TEXT NOT NULL,
	labels TEXT NOT NULL,
	document TEXT NOT NULL,
	source TEXT NOT NULL,
	publisher TEXT NOT NULL,
	role TEXT NOT NULL,
	note TEXT NOT NULL,
	applied BIGINT NOT NULL,
	PRIMARY KEY (namespace, kind, name, version)
);

CREATE TABLE definition_keys (
	namespace TEXT NOT NULL,
	idem TEXT NOT NULL,
	hash TEXT NOT NULL,
	answer TEXT NOT NULL,
	PRIMARY KEY (namespace, idem)
);

-- +goose Down
DROP TABLE definition_keys;
DROP TABLE definition_versions;
DROP TABLE definition_heads;
