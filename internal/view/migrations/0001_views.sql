-- +goose Up
-- What was last seen of each end system. content is '' before the first time.
CREATE TABLE view_systems (
	namespace TEXT NOT NULL,
	name TEXT NOT NULL,
	due BIGINT NOT NULL,
	tried BIGINT NOT NULL,
	at BIGINT NOT NULL,
	failure TEXT NOT NULL,
	content TEXT NOT NULL,
	PRIMARY KEY (namespace, name)
);
CREATE INDEX view_systems_due ON view_systems (due);

-- The decisions about cells of the matrix.
CREATE TABLE view_cells (
	namespace TEXT NOT NULL,
	name TEXT NOT NULL,
	datacenter TEXT NOT NULL,
	cluster TEXT NOT NULL,
	storage TEXT NOT NULL,
	permitted BIGINT NOT NULL,
	decider TEXT NOT NULL,
	at BIGINT NOT NULL,
	PRIMARY KEY (namespace, name, datacenter, cluster, storage)
);

-- +goose Down
DROP TABLE view_cells;
DROP TABLE view_systems;
