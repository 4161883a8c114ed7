-- History by day of Asia/Tehran: days are days since 1970-01-01, seconds are whole.

CREATE TABLE objects (
    id   INTEGER PRIMARY KEY,
    kind INTEGER NOT NULL,                 -- 1 link, 2 site, 3 village, 4 village's reach of the national network
    code TEXT NOT NULL,                    -- site code, or region code of the village
    link TEXT NOT NULL DEFAULT '',
    UNIQUE (kind, code, link)
) STRICT;

-- Tu Tg Td Tx Tm Tn. A day without a row was never measured: all of it is unknown.
CREATE TABLE daily_seconds (
    kind           INTEGER NOT NULL,
    day            INTEGER NOT NULL,
    object         INTEGER NOT NULL REFERENCES objects (id),
    up             INTEGER NOT NULL,
    degraded       INTEGER NOT NULL,
    down           INTEGER NOT NULL,
    unknown        INTEGER NOT NULL,
    maintenance    INTEGER NOT NULL,
    not_in_service INTEGER NOT NULL,
    PRIMARY KEY (kind, day, object)
) STRICT, WITHOUT ROWID;

-- Packets of a link's anchors while it was not down.
CREATE TABLE daily_packets (
    day      INTEGER NOT NULL,
    object   INTEGER NOT NULL REFERENCES objects (id),
    sent     INTEGER NOT NULL,
    received INTEGER NOT NULL,
    PRIMARY KEY (day, object)
) STRICT, WITHOUT ROWID;

-- Values of a link's day as mergeable histograms; metric is the catalogue's code.
CREATE TABLE daily_values (
    day     INTEGER NOT NULL,
    object  INTEGER NOT NULL REFERENCES objects (id),
    metric  INTEGER NOT NULL,
    buckets BLOB NOT NULL,
    PRIMARY KEY (day, object, metric)
) STRICT, WITHOUT ROWID;

-- Rounds of service targets from one site.
CREATE TABLE daily_rounds (
    day                INTEGER NOT NULL,
    object             INTEGER NOT NULL REFERENCES objects (id),   -- the site
    target             TEXT NOT NULL,
    attempts           INTEGER NOT NULL,
    successes          INTEGER NOT NULL,
    attempts_while_up  INTEGER NOT NULL,
    successes_while_up INTEGER NOT NULL,
    latency            BLOB NOT NULL,                              -- histogram of microseconds
    PRIMARY KEY (day, object, target)
) STRICT, WITHOUT ROWID;

-- The spans of a site's day, for pages, for its village, and for outages that cross midnight.
CREATE TABLE timelines (
    object      INTEGER NOT NULL REFERENCES objects (id),          -- site or village
    day         INTEGER NOT NULL,
    built_until INTEGER NOT NULL,
    head        INTEGER NOT NULL,          -- digest of the first quarter of an hour it was heard in; 0 for never
    tail        INTEGER NOT NULL,          -- and of the last: silent days around it lean on these
    spans       BLOB NOT NULL,
    PRIMARY KEY (object, day)
) STRICT, WITHOUT ROWID;

-- Days to be built, or built again.
CREATE TABLE dirty_days (
    day       INTEGER NOT NULL,
    site_code TEXT NOT NULL,
    touches   INTEGER NOT NULL DEFAULT 1,  -- a day touched while it was being built stays
    PRIMARY KEY (day, site_code)
) STRICT, WITHOUT ROWID;

-- Which sites' agents look at which sites from outside.
CREATE TABLE vantages (
    site_code    TEXT NOT NULL,
    vantage_code TEXT NOT NULL,
    PRIMARY KEY (site_code, vantage_code)
) STRICT, WITHOUT ROWID;
CREATE INDEX boots_by_site ON boots (site_code);

CREATE TABLE outages (
    object     INTEGER NOT NULL REFERENCES objects (id),
    started_at INTEGER NOT NULL,
    ended_at   INTEGER,                    -- NULL while it lasts
    restored   INTEGER,                    -- 1 measured to work again, 0 nobody could tell any more
    rung       INTEGER,                    -- NULL is unattributed
    confidence INTEGER,
    evidence   TEXT NOT NULL,              -- JSON list
    revision   INTEGER NOT NULL,
    PRIMARY KEY (object, started_at)
) STRICT, WITHOUT ROWID;
CREATE INDEX outages_by_end ON outages (ended_at);
