-- +goose Up
-- The last time that was due for a resource type, the key of its run, and the last run that was started.
CREATE TABLE converge_slots (
	namespace TEXT NOT NULL,
	type TEXT NOT NULL,
	due BIGINT NOT NULL,
	key TEXT NOT NULL,
	run TEXT NOT NULL,
	PRIMARY KEY (namespace, type)
);

-- +goose Down
DROP TABLE converge_slots;
