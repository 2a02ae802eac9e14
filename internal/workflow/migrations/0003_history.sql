-- +goose Up
-- The runs of a workflow, newest first: their list, and how long they took.
CREATE INDEX workflow_runs_workflow ON workflow_runs (namespace, workflow, n);
