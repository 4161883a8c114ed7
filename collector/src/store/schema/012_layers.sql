-- What figures and charts need beside states. Days are days of Asia/Tehran since 1970-01-01.

-- Five-minute slots with at least ten packets to anchors, and of those the ones of good quality.
ALTER TABLE daily_packets ADD COLUMN slots INTEGER NOT NULL DEFAULT 0;
ALTER TABLE daily_packets ADD COLUMN good_slots INTEGER NOT NULL DEFAULT 0;

-- A link's data plan at the day's last reading.
CREATE TABLE daily_plans (
    day       INTEGER NOT NULL,
    object    INTEGER NOT NULL REFERENCES objects (id),
    at        INTEGER NOT NULL,            -- Unix milliseconds
    used_kib  INTEGER NOT NULL,
    own_kib   INTEGER NOT NULL,
    limit_kib INTEGER NOT NULL,
    PRIMARY KEY (day, object)
) STRICT, WITHOUT ROWID;

-- What a site's agents reported of a day.
CREATE TABLE daily_reports (
    day        INTEGER NOT NULL,
    object     INTEGER NOT NULL REFERENCES objects (id),
    interval_s INTEGER NOT NULL,           -- the usual reporting interval; 0 if no report shows it
    covered_s  INTEGER NOT NULL,           -- time covered by reports that arrived
    on_time_s  INTEGER NOT NULL,           -- of that, by reports that arrived within ten minutes
    lag_s      BLOB NOT NULL,              -- histogram: end of a report to its arrival
    skew_ms    BLOB NOT NULL,              -- histogram: agent's clock minus true time
    PRIMARY KEY (day, object)
) STRICT, WITHOUT ROWID;

-- A site's day in slots of five minutes; the layout is in history/slots.rs.
CREATE TABLE slots (
    day    INTEGER NOT NULL,
    object INTEGER NOT NULL REFERENCES objects (id),
    bytes  BLOB NOT NULL,
    PRIMARY KEY (day, object)
) STRICT;
