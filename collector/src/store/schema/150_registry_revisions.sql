-- A published month whose figures the registry changed waits until a person publishes the next revision.

ALTER TABLE reports ADD COLUMN registry TEXT;   -- the registry's versions that changed what the revision before said, such as `3 4`

CREATE TABLE reports_held (
    period     TEXT NOT NULL,
    region     TEXT NOT NULL,
    noticed_at INTEGER NOT NULL,                -- Unix milliseconds
    registry   TEXT NOT NULL,                   -- as in reports
    PRIMARY KEY (period, region)
) STRICT;
