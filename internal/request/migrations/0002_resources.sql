-- +goose Up
-- What a request does, and the resources of one for several.
ALTER TABLE request_requests ADD COLUMN action TEXT NOT NULL DEFAULT 'create';
ALTER TABLE request_requests ADD COLUMN base TEXT NOT NULL DEFAULT '';
ALTER TABLE request_requests ADD COLUMN ttl BIGINT NOT NULL DEFAULT 0; -- microseconds; 0 is none
ALTER TABLE request_requests ADD COLUMN items TEXT NOT NULL DEFAULT ''; -- JSON: the resources of several
ALTER TABLE request_requests ADD COLUMN files TEXT NOT NULL DEFAULT ''; -- JSON: the files to commit before the run
ALTER TABLE request_requests ADD COLUMN source TEXT NOT NULL DEFAULT ''; -- JSON: where the file is

-- Alerts that were delivered to triggers, and what came of them.
CREATE TABLE request_firings (
	namespace TEXT NOT NULL,
	trigger_name TEXT NOT NULL,
	fingerprint TEXT NOT NULL,
	starts BIGINT NOT NULL,
	outcome TEXT NOT NULL,
	note TEXT NOT NULL,
	request TEXT NOT NULL,
	reverse TEXT NOT NULL, -- '', 'wanted', then the request that deletes what was made
	due BIGINT NOT NULL, -- when the reverse is asked for next
	at BIGINT NOT NULL,
	PRIMARY KEY (namespace, trigger_name, fingerprint, starts)
);
CREATE INDEX request_firings_newest ON request_firings (namespace, trigger_name, at);
CREATE INDEX request_firings_wanted ON request_firings (reverse, due);

-- +goose Down
DROP TABLE request_firings;
ALTER TABLE request_requests DROP COLUMN source;
ALTER TABLE request_requests DROP COLUMN files;
ALTER TABLE request_requests DROP COLUMN items;
ALTER TABLE request_requests DROP COLUMN ttl;
ALTER TABLE request_requests DROP COLUMN base;
ALTER TABLE request_requests DROP COLUMN action;
