-- +goose Up
-- By run alone: most runs that end looked at no resource, and that is found out for many at a time.
CREATE INDEX resource_observations_looking ON resource_observations (run);

-- +goose Down
DROP INDEX resource_observations_looking;
