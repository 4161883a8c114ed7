-- How often a day of history was written: whoever keeps what was read of a closed window asks whether it still holds.

CREATE TABLE built_days (
    day      INTEGER PRIMARY KEY,          -- days since 1970-01-01, Asia/Tehran
    revision INTEGER NOT NULL
) STRICT;
