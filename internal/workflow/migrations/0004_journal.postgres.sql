-- +goose Up
-- A table of PostgreSQL is in the order it was written already.
SELECT 1;
