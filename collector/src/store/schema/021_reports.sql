-- Published monthly reports. A revision is never changed or removed: late data makes the next one.

CREATE TABLE reports (
    period       TEXT NOT NULL,            -- such as 1405-08
    region       TEXT NOT NULL,            -- region code
    revision     INTEGER NOT NULL,         -- from 1
    published_at INTEGER NOT NULL,         -- Unix milliseconds
    digest       TEXT NOT NULL,            -- SHA-256 of the content
    content      BLOB NOT NULL,            -- gzip of the content as JSON
    PRIMARY KEY (period, region, revision)
) STRICT;
CREATE TRIGGER reports_are_never_changed BEFORE UPDATE ON reports BEGIN SELECT RAISE(ABORT, 'published reports are immutable'); END;
CREATE TRIGGER reports_are_never_removed BEFORE DELETE ON reports BEGIN SELECT RAISE(ABORT, 'published reports are immutable'); END;
