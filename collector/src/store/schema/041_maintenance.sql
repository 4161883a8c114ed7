-- Planned work announced by people, beside what the registry's maintenance.yaml holds. Times are Unix milliseconds.

CREATE TABLE maintenance_windows (
    id           INTEGER PRIMARY KEY,
    reason       TEXT NOT NULL,
    from_at      INTEGER NOT NULL,
    until_at     INTEGER NOT NULL,         -- of its first span
    weekly       INTEGER NOT NULL,
    covers       TEXT NOT NULL,            -- JSON list of region/CODE, site/CODE, link/SITE/NAME, node/CODE
    announced_at INTEGER NOT NULL,
    announced_by TEXT NOT NULL,
    ended_at     INTEGER                   -- called off, or ended early: nothing of it is later
) STRICT;
