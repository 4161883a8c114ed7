-- The state database with the migrations up to 51, with rows in every table. Never edited: later versions must read it.
PRAGMA foreign_keys = OFF;
CREATE TABLE agents (
    id          TEXT PRIMARY KEY,
    site_code   TEXT NOT NULL,
    key_hash    TEXT NOT NULL,             -- SHA-256 of its public key
    enrolled_at INTEGER NOT NULL,
    renewed_at  INTEGER,
    not_after   INTEGER NOT NULL,          -- of its newest certificate
    revoked_at  INTEGER
, version TEXT) STRICT;
INSERT INTO "agents" VALUES('00000000000000a1','15-0001','aa',1795251600000,NULL,1826787600000,NULL,'0.1.0');
INSERT INTO "agents" VALUES('00000000000000a2','15-0002','bb',1795251600000,1795251700000,1826787600000,1795251800000,'0.1.0');
CREATE TABLE alerts (
    rule    TEXT NOT NULL,
    subject TEXT NOT NULL,                  -- JSON
    state   TEXT NOT NULL,
    since   INTEGER NOT NULL,
    value   REAL,
    PRIMARY KEY (rule, subject)
) STRICT, WITHOUT ROWID;
INSERT INTO "alerts" VALUES('rule-1','subject-1','state-1',1795251600001,1.5);
INSERT INTO "alerts" VALUES('rule-2','subject-2','state-2',1795251600002,2.5);
CREATE TABLE api_tokens (
    id          INTEGER PRIMARY KEY,
    hash        TEXT NOT NULL UNIQUE,
    label       TEXT NOT NULL,
    role        TEXT NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
    region_code TEXT,
    created_by  TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER,
    revoked_at  INTEGER
) STRICT;
INSERT INTO "api_tokens" VALUES(1,'hash-1','label-1','viewer','region_code-1','created_by-1',1795251600001,1795251600001,1795251600001);
INSERT INTO "api_tokens" VALUES(2,'hash-2','label-2','viewer','region_code-2','created_by-2',1795251600002,1795251600002,1795251600002);
CREATE TABLE audit (
    id      INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    actor   TEXT NOT NULL,                 -- user:NAME, agent:ID, token:PREFIX or cli
    action  TEXT NOT NULL,                 -- dotted, such as agent.revoke
    subject TEXT NOT NULL,
    detail  TEXT NOT NULL DEFAULT ''
) STRICT;
INSERT INTO "audit" VALUES(1,1795251600001,'actor-1','action-1','subject-1','detail-1');
INSERT INTO "audit" VALUES(2,1795251600002,'actor-2','action-2','subject-2','detail-2');
CREATE TABLE boots (
    agent           INTEGER NOT NULL,
    boot            INTEGER NOT NULL,
    site_code       TEXT NOT NULL,
    first_ms        INTEGER NOT NULL,
    last_ms         INTEGER NOT NULL,
    least_offset_ms INTEGER,
    most_offset_ms  INTEGER NOT NULL,
    grade           INTEGER,
    proofs          TEXT NOT NULL,          -- JSON: [at_ms, offset_ms, error_ms] each, one a day of the boot
    leans_on_proofs INTEGER NOT NULL, heard_at INTEGER,
    PRIMARY KEY (agent, boot)
) STRICT, WITHOUT ROWID;
INSERT INTO "boots" VALUES(1,1,'site_code-1',1795251600001,1795251600001,1795251600001,1795251600001,1795251600001,'[[60000,1795251600000,20]]',1795251600001,1795251600002);
INSERT INTO "boots" VALUES(2,2,'site_code-2',1795251600002,1795251600002,1795251600002,1795251600002,1795251600002,'[[60000,1795251600000,20]]',1795251600002,1795251600003);
CREATE TABLE built_days (
    day      INTEGER PRIMARY KEY,          -- days since 1970-01-01, Asia/Tehran
    revision INTEGER NOT NULL
) STRICT;
INSERT INTO "built_days" VALUES(20777,1);
INSERT INTO "built_days" VALUES(20778,3);
CREATE TABLE cases (
    key  TEXT PRIMARY KEY,
    body TEXT NOT NULL                      -- JSON
) STRICT, WITHOUT ROWID;
INSERT INTO "cases" VALUES('key-1','body-1');
INSERT INTO "cases" VALUES('key-2','body-2');
CREATE TABLE daily_packets (
    day      INTEGER NOT NULL,
    object   INTEGER NOT NULL REFERENCES objects (id),
    sent     INTEGER NOT NULL,
    received INTEGER NOT NULL, slots INTEGER NOT NULL DEFAULT 0, good_slots INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (day, object)
) STRICT, WITHOUT ROWID;
INSERT INTO "daily_packets" VALUES(1,1,1795251600001,1795251600001,288,280);
INSERT INTO "daily_packets" VALUES(2,2,1795251600002,1795251600002,288,280);
CREATE TABLE daily_plans (
    day       INTEGER NOT NULL,
    object    INTEGER NOT NULL REFERENCES objects (id),
    at        INTEGER NOT NULL,            -- Unix milliseconds
    used_kib  INTEGER NOT NULL,
    own_kib   INTEGER NOT NULL,
    limit_kib INTEGER NOT NULL,
    PRIMARY KEY (day, object)
) STRICT, WITHOUT ROWID;
INSERT INTO "daily_plans" VALUES(1,1,1795251600001,400000,9000,4000000);
INSERT INTO "daily_plans" VALUES(2,2,1795251600002,400001,9001,4000001);
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
INSERT INTO "daily_reports" VALUES(1,1,300,86400,86100,X'010203',X'020203');
INSERT INTO "daily_reports" VALUES(2,2,300,86100,86000,X'010204',X'020204');
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
INSERT INTO "daily_rounds" VALUES(1,1,'target-1',1795251600001,1795251600001,1795251600001,1795251600001,X'010203');
INSERT INTO "daily_rounds" VALUES(2,2,'target-2',1795251600002,1795251600002,1795251600002,1795251600002,X'020203');
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
INSERT INTO "daily_seconds" VALUES(1,1,1,1795251600001,1795251600001,1795251600001,1795251600001,1795251600001,1795251600001);
INSERT INTO "daily_seconds" VALUES(2,2,2,1795251600002,1795251600002,1795251600002,1795251600002,1795251600002,1795251600002);
CREATE TABLE daily_values (
    day     INTEGER NOT NULL,
    object  INTEGER NOT NULL REFERENCES objects (id),
    metric  INTEGER NOT NULL,
    buckets BLOB NOT NULL,
    PRIMARY KEY (day, object, metric)
) STRICT, WITHOUT ROWID;
INSERT INTO "daily_values" VALUES(1,1,1,X'010203');
INSERT INTO "daily_values" VALUES(2,2,2,X'020203');
CREATE TABLE decisions (
    id       INTEGER PRIMARY KEY,
    case_key TEXT NOT NULL,
    at       INTEGER NOT NULL,
    stage    TEXT NOT NULL,
    verdict  TEXT NOT NULL,
    reason   TEXT NOT NULL
) STRICT;
INSERT INTO "decisions" VALUES(1,'case_key-1',1795251600001,'stage-1','verdict-1','reason-1');
INSERT INTO "decisions" VALUES(2,'case_key-2',1795251600002,'stage-2','verdict-2','reason-2');
CREATE TABLE dirty_days (
    day       INTEGER NOT NULL,
    site_code TEXT NOT NULL,
    touches   INTEGER NOT NULL DEFAULT 1,  -- a day touched while it was being built stays
    PRIMARY KEY (day, site_code)
) STRICT, WITHOUT ROWID;
INSERT INTO "dirty_days" VALUES(1,'site_code-1',1795251600001);
INSERT INTO "dirty_days" VALUES(2,'site_code-2',1795251600002);
CREATE TABLE engine_cursor (
    one         INTEGER PRIMARY KEY CHECK (one = 1),
    position    INTEGER NOT NULL,          -- the last record applied whose events are in this database
    advanced_to INTEGER NOT NULL           -- the engine's time then
) STRICT;
INSERT INTO "engine_cursor" VALUES(1,1795251600001,1795251600001);
CREATE TABLE engine_marks (
    at       INTEGER PRIMARY KEY,
    position INTEGER NOT NULL
) STRICT;
INSERT INTO "engine_marks" VALUES(1,1795251600001);
INSERT INTO "engine_marks" VALUES(2,1795251600002);
CREATE TABLE events (
    id         INTEGER PRIMARY KEY,
    known_at   INTEGER NOT NULL,
    kind       TEXT NOT NULL,              -- link, site, village, agent, fleet
    code       TEXT NOT NULL,
    link       TEXT NOT NULL DEFAULT '',
    since      INTEGER NOT NULL,
    was        TEXT NOT NULL,
    state      TEXT NOT NULL,
    rung       INTEGER,
    confidence INTEGER
) STRICT;
INSERT INTO "events" VALUES(1,1795251600001,'kind-1','code-1','link-1',1795251600001,'was-1','state-1',1795251600001,1795251600001);
INSERT INTO "events" VALUES(2,1795251600002,'kind-2','code-2','link-2',1795251600002,'was-2','state-2',1795251600002,1795251600002);
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
INSERT INTO "incident_members" VALUES(1,'site_code-1','link_name-1','trouble-1',1795251600001,1795251600001,1795251600001,'left_why-1');
INSERT INTO "incident_members" VALUES(2,'site_code-2','link_name-2','trouble-2',1795251600002,1795251600002,1795251600002,'left_why-2');
CREATE TABLE incident_timeline (
    id       INTEGER PRIMARY KEY,
    incident INTEGER NOT NULL REFERENCES incidents (id),
    at       INTEGER NOT NULL,
    actor    TEXT NOT NULL,                 -- engine, notify, or user:NAME
    kind     TEXT NOT NULL,
    text     TEXT NOT NULL
) STRICT;
INSERT INTO "incident_timeline" VALUES(1,1,1795251600001,'actor-1','kind-1','text-1');
INSERT INTO "incident_timeline" VALUES(2,2,1795251600002,'actor-2','kind-2','text-2');
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
INSERT INTO "incidents" VALUES(1,'root_kind-1','root_code-1','rule_kind-1','root_fa-1','root_en-1','trouble-1',1795251600001,1795251600001,1795251600001,1795251600001,1795251600001,1795251600001,'causes-1',1795251600001,1795251600001,1.5,'classes-1',1795251600001,'acknowledged_by-1','assignee-1','cause_override-1',1795251600001);
INSERT INTO "incidents" VALUES(2,'root_kind-2','root_code-2','rule_kind-2','root_fa-2','root_en-2','trouble-2',1795251600002,1795251600002,1795251600002,1795251600002,1795251600002,1795251600002,'causes-2',1795251600002,1795251600002,2.5,'classes-2',1795251600002,'acknowledged_by-2','assignee-2','cause_override-2',1795251600002);
CREATE TABLE inventory_versions (
    version        INTEGER PRIMARY KEY,
    effective_from INTEGER NOT NULL,       -- Unix milliseconds
    imported_at    INTEGER NOT NULL,
    imported_by    TEXT NOT NULL,
    digest         TEXT NOT NULL,          -- SHA-256 over names, lengths and contents of the files
    files          BLOB NOT NULL           -- gzip; the layout is in inventory/versions.rs
) STRICT;
INSERT INTO "inventory_versions" VALUES(1,1795251600001,1795251600001,'imported_by-1','digest-1',X'010203');
INSERT INTO "inventory_versions" VALUES(2,1795251600002,1795251600002,'imported_by-2','digest-2',X'020203');
CREATE TABLE kpi_definitions (
    kpi            TEXT NOT NULL,
    version        INTEGER NOT NULL,
    effective_from INTEGER NOT NULL,       -- Unix milliseconds
    decree         TEXT NOT NULL,
    terms          TEXT NOT NULL,          -- `term=value`, parted by blanks; all the KPI stands on
    entered_at     INTEGER NOT NULL,
    entered_by     TEXT NOT NULL,
    PRIMARY KEY (kpi, version)
) STRICT, WITHOUT ROWID;
INSERT INTO "kpi_definitions" VALUES('sla_pass_share',2,1795251600000,'1404/18','sla_a=0.999 sla_b=0.99 sla_c=0.95',1795251600001,'user:ali');
INSERT INTO "kpi_definitions" VALUES('villages_connected_month',2,1795251600000,'1404/17','policy=either connected=0.95 measured=0.5',1795251600000,'cli');
CREATE TABLE live_states (
    kind        TEXT NOT NULL,             -- link, site, village, agent
    code        TEXT NOT NULL,             -- site code, region code, agent id
    link        TEXT NOT NULL DEFAULT '',
    state       TEXT NOT NULL,
    since       INTEGER NOT NULL,
    rung        INTEGER,
    confidence  INTEGER,
    heard_at    INTEGER,                   -- agents: last batch received
    observed_at INTEGER,                   -- agents: newest sample
    PRIMARY KEY (kind, code, link)
) STRICT, WITHOUT ROWID;
INSERT INTO "live_states" VALUES('kind-1','code-1','link-1','state-1',1795251600001,1795251600001,1795251600001,1795251600001,1795251600001);
INSERT INTO "live_states" VALUES('kind-2','code-2','link-2','state-2',1795251600002,1795251600002,1795251600002,1795251600002,1795251600002);
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
INSERT INTO "maintenance_windows" VALUES(1,'reason-1',1795251600000,1795255200000,0,'["site/15-0001"]',1795165200000,'user:ali',NULL);
INSERT INTO "maintenance_windows" VALUES(2,'reason-2',1795251600002,1795255200002,1,'["link/15-0002/up0","node/POP-1"]',1795165200000,'cli',1795252000000);
CREATE TABLE migrations (number INTEGER PRIMARY KEY) STRICT;
INSERT INTO "migrations" VALUES(1);
INSERT INTO "migrations" VALUES(10);
INSERT INTO "migrations" VALUES(11);
INSERT INTO "migrations" VALUES(12);
INSERT INTO "migrations" VALUES(13);
INSERT INTO "migrations" VALUES(2);
INSERT INTO "migrations" VALUES(20);
INSERT INTO "migrations" VALUES(21);
INSERT INTO "migrations" VALUES(30);
INSERT INTO "migrations" VALUES(35);
INSERT INTO "migrations" VALUES(36);
INSERT INTO "migrations" VALUES(40);
INSERT INTO "migrations" VALUES(41);
INSERT INTO "migrations" VALUES(50);
INSERT INTO "migrations" VALUES(51);
CREATE TABLE notify_memory (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "notify_memory" VALUES('name-1','value-1');
INSERT INTO "notify_memory" VALUES('name-2','value-2');
CREATE TABLE objects (
    id   INTEGER PRIMARY KEY,
    kind INTEGER NOT NULL,                 -- 1 link, 2 site, 3 village, 4 village's reach of the national network
    code TEXT NOT NULL,                    -- site code, or region code of the village
    link TEXT NOT NULL DEFAULT '',
    UNIQUE (kind, code, link)
) STRICT;
INSERT INTO "objects" VALUES(1,1795251600001,'code-1','link-1');
INSERT INTO "objects" VALUES(2,1795251600002,'code-2','link-2');
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
INSERT INTO "outages" VALUES(1,1,1795251600001,1795251600001,1795251600001,1795251600001,'evidence-1',1795251600001);
INSERT INTO "outages" VALUES(2,2,1795251600002,1795251600002,1795251600002,1795251600002,'evidence-2',1795251600002);
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
INSERT INTO "outbox" VALUES(1,'id-1','case_key-1','recipient-1','channels-1',1795251600001,'barred-1','letter-1',1795251600001,'state-1',1795251600001,1795251600001,1795251600001,'note-1');
INSERT INTO "outbox" VALUES(2,'id-2','case_key-2','recipient-2','channels-2',1795251600002,'barred-2','letter-2',1795251600002,'state-2',1795251600002,1795251600002,1795251600002,'note-2');
CREATE TABLE reports (
    period       TEXT NOT NULL,            -- such as 1405-08
    region       TEXT NOT NULL,            -- region code
    revision     INTEGER NOT NULL,         -- from 1
    published_at INTEGER NOT NULL,         -- Unix milliseconds
    digest       TEXT NOT NULL,            -- SHA-256 of the content
    content      BLOB NOT NULL,            -- gzip of the content as JSON
    PRIMARY KEY (period, region, revision)
) STRICT;
INSERT INTO "reports" VALUES('period-1','region-1',1,1795251600001,'digest-1',X'010203');
INSERT INTO "reports" VALUES('period-2','region-2',2,1795251600002,'digest-2',X'020203');
CREATE TABLE sessions (
    token_hash TEXT PRIMARY KEY,
    user_name  TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    csrf       TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    seen_at    INTEGER NOT NULL
) STRICT;
INSERT INTO "sessions" VALUES('token_hash-1','name-1','csrf-1',1795251600001,1795251600001);
INSERT INTO "sessions" VALUES('token_hash-2','name-2','csrf-2',1795251600002,1795251600002);
CREATE TABLE slots (
    day    INTEGER NOT NULL,
    object INTEGER NOT NULL REFERENCES objects (id),
    bytes  BLOB NOT NULL,
    PRIMARY KEY (day, object)
) STRICT;
INSERT INTO "slots" VALUES(1,1,X'010203');
INSERT INTO "slots" VALUES(2,2,X'020203');
CREATE TABLE timelines (
    object      INTEGER NOT NULL REFERENCES objects (id),          -- site or village
    day         INTEGER NOT NULL,
    built_until INTEGER NOT NULL,
    head        INTEGER NOT NULL,          -- digest of the first quarter of an hour it was heard in; 0 for never
    tail        INTEGER NOT NULL,          -- and of the last: silent days around it lean on these
    spans       BLOB NOT NULL,
    PRIMARY KEY (object, day)
) STRICT, WITHOUT ROWID;
INSERT INTO "timelines" VALUES(1,1,1795251600001,1795251600001,1795251600001,X'010203');
INSERT INTO "timelines" VALUES(2,2,1795251600002,1795251600002,1795251600002,X'020203');
CREATE TABLE tokens (
    hash        TEXT PRIMARY KEY,          -- SHA-256 of the token; the token itself is nowhere
    site_code   TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    used_at     INTEGER,
    used_by     TEXT REFERENCES agents (id)
) STRICT;
INSERT INTO "tokens" VALUES('hash-1','site_code-1',1795251600001,1795251600001,1795251600001,'00000000000000a1');
INSERT INTO "tokens" VALUES('hash-2','site_code-2',1795251600002,1795251600002,1795251600002,'00000000000000a2');
CREATE TABLE users (
    name          TEXT PRIMARY KEY,
    password_hash TEXT NOT NULL,
    role          TEXT NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
    region_code   TEXT,
    created_at    INTEGER NOT NULL
, lang TEXT) STRICT;
INSERT INTO "users" VALUES('name-1','password_hash-1','viewer','region_code-1',1795251600001,'fa');
INSERT INTO "users" VALUES('name-2','password_hash-2','viewer','region_code-2',1795251600002,'fa');
CREATE TABLE vantages (
    site_code    TEXT NOT NULL,
    vantage_code TEXT NOT NULL,
    PRIMARY KEY (site_code, vantage_code)
) STRICT, WITHOUT ROWID;
INSERT INTO "vantages" VALUES('site_code-1','vantage_code-1');
INSERT INTO "vantages" VALUES('site_code-2','vantage_code-2');
CREATE INDEX agents_by_site ON agents (site_code);
CREATE TRIGGER audit_is_never_changed BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_is_never_shortened BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE INDEX events_by_object ON events (code, known_at);
CREATE INDEX boots_by_site ON boots (site_code);
CREATE INDEX outages_by_end ON outages (ended_at);
CREATE TRIGGER inventory_versions_are_never_changed BEFORE UPDATE ON inventory_versions
    BEGIN SELECT RAISE(ABORT, 'inventory versions are immutable'); END;
CREATE TRIGGER inventory_versions_are_never_removed BEFORE DELETE ON inventory_versions
    BEGIN SELECT RAISE(ABORT, 'inventory versions are immutable'); END;
CREATE TRIGGER reports_are_never_changed BEFORE UPDATE ON reports BEGIN SELECT RAISE(ABORT, 'published reports are immutable'); END;
CREATE TRIGGER reports_are_never_removed BEFORE DELETE ON reports BEGIN SELECT RAISE(ABORT, 'published reports are immutable'); END;
CREATE INDEX incidents_open ON incidents (resolved_at, started_at);
CREATE INDEX incident_members_by_site ON incident_members (site_code, incident);
CREATE INDEX incident_timeline_by_incident ON incident_timeline (incident, id);
CREATE INDEX decisions_by_case ON decisions (case_key, id);
CREATE INDEX outbox_due ON outbox (state, next_at);
CREATE INDEX outbox_by_case ON outbox (case_key, number);
CREATE TRIGGER kpi_definitions_are_never_changed BEFORE UPDATE ON kpi_definitions
    BEGIN SELECT RAISE(ABORT, 'versions of definitions are immutable'); END;
CREATE TRIGGER kpi_definitions_are_never_removed BEFORE DELETE ON kpi_definitions
    BEGIN SELECT RAISE(ABORT, 'versions of definitions are immutable'); END;
PRAGMA user_version = 51;
PRAGMA foreign_keys = ON;
