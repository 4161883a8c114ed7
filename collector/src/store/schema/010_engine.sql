-- What the engine said and how far it has read. Times are Unix milliseconds; states are the words of the engine.

CREATE TABLE engine_cursor (
    one         INTEGER PRIMARY KEY CHECK (one = 1),
    position    INTEGER NOT NULL,          -- the last record applied whose events are in this database
    advanced_to INTEGER NOT NULL           -- the engine's time then
) STRICT;

-- Where the log stood at past times: after a restart the engine reads again from a mark before the cursor.
CREATE TABLE engine_marks (
    at       INTEGER PRIMARY KEY,
    position INTEGER NOT NULL
) STRICT;

-- The state of everything as people were last told.
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
CREATE INDEX events_by_object ON events (code, known_at);
