-- Incidents, what people did about them, and every call made or not made. Times are Unix milliseconds. Sites and links
-- stand here by code and name: they outlive an inventory version.

CREATE TABLE incidents (
    id               INTEGER PRIMARY KEY,   -- permanent; the page's address
    root_kind        TEXT NOT NULL,         -- link, site, node, cell, operator, county or collector
    root_code        TEXT NOT NULL,
    rule_kind        TEXT NOT NULL,         -- the root as rules name it, such as pop
    root_fa          TEXT NOT NULL,
    root_en          TEXT NOT NULL,
    trouble          TEXT NOT NULL,
    measured         INTEGER NOT NULL,
    started_at       INTEGER NOT NULL,
    opened_at        INTEGER NOT NULL,
    root_restored_at INTEGER,
    resolved_at      INTEGER,
    merged_into      INTEGER,
    causes           TEXT NOT NULL,         -- JSON, likeliest first
    sites            INTEGER NOT NULL,      -- the most it had
    villages         INTEGER NOT NULL,
    villages_share   REAL NOT NULL,
    classes          TEXT NOT NULL,         -- such as "A B"
    acknowledged_at  INTEGER,
    acknowledged_by  TEXT,
    assignee         TEXT,
    cause_override   TEXT,                  -- what a person says the cause was
    visited_at       INTEGER
) STRICT;
CREATE INDEX incidents_open ON incidents (resolved_at, started_at);

CREATE TABLE incident_members (
    incident    INTEGER NOT NULL REFERENCES incidents (id),
    site_code   TEXT NOT NULL,
    link_name   TEXT NOT NULL,
    trouble     TEXT NOT NULL,
    since       INTEGER NOT NULL,
    attached_at INTEGER NOT NULL,
    left_at     INTEGER,
    left_why    TEXT,
    PRIMARY KEY (incident, site_code, link_name)
) STRICT, WITHOUT ROWID;
CREATE INDEX incident_members_by_site ON incident_members (site_code, incident);

-- Append-only: everything seen, said and done about an incident.
CREATE TABLE incident_timeline (
    id       INTEGER PRIMARY KEY,
    incident INTEGER NOT NULL REFERENCES incidents (id),
    at       INTEGER NOT NULL,
    actor    TEXT NOT NULL,                 -- engine, notify, or user:NAME
    kind     TEXT NOT NULL,
    text     TEXT NOT NULL
) STRICT;
CREATE INDEX incident_timeline_by_incident ON incident_timeline (incident, id);

CREATE TABLE alerts (
    rule    TEXT NOT NULL,
    subject TEXT NOT NULL,                  -- JSON
    state   TEXT NOT NULL,
    since   INTEGER NOT NULL,
    value   REAL,
    PRIMARY KEY (rule, subject)
) STRICT, WITHOUT ROWID;

CREATE TABLE cases (
    key  TEXT PRIMARY KEY,
    body TEXT NOT NULL                      -- JSON
) STRICT, WITHOUT ROWID;

-- Why somebody was called, and why not.
CREATE TABLE decisions (
    id       INTEGER PRIMARY KEY,
    case_key TEXT NOT NULL,
    at       INTEGER NOT NULL,
    stage    TEXT NOT NULL,
    verdict  TEXT NOT NULL,
    reason   TEXT NOT NULL
) STRICT;
CREATE INDEX decisions_by_case ON decisions (case_key, id);

-- One row for each call. The id says what is called about and whom: the same call twice is one row.
CREATE TABLE outbox (
    number     INTEGER PRIMARY KEY,
    id         TEXT NOT NULL UNIQUE,
    case_key   TEXT NOT NULL,
    recipient  TEXT NOT NULL,
    channels   TEXT NOT NULL,               -- JSON, in the order to try
    place      INTEGER NOT NULL DEFAULT 0,  -- the channel whose turn it is
    barred     TEXT NOT NULL DEFAULT '[]',  -- JSON: channels that may have delivered it unheard
    letter     TEXT NOT NULL,               -- JSON
    created_at INTEGER NOT NULL,
    state      TEXT NOT NULL DEFAULT 'waiting', -- waiting, sending, delivered, uncertain or failed
    attempts   INTEGER NOT NULL DEFAULT 0,  -- on this channel
    next_at    INTEGER NOT NULL,
    settled_at INTEGER,
    note       TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX outbox_due ON outbox (state, next_at);
CREATE INDEX outbox_by_case ON outbox (case_key, number);

CREATE TABLE notify_memory (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
