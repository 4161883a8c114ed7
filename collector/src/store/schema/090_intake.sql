-- What one identity may do and what it did too much of. Times are Unix milliseconds; days count from 1970-01-01 in Tehran.

-- The key asked for at a renewal holds from its first use on; until then the key before it holds too.
ALTER TABLE agents ADD COLUMN next_key_hash TEXT;
-- Whether an administrator lets it speak: a second agent of a site waits for that.
ALTER TABLE agents ADD COLUMN approved INTEGER NOT NULL DEFAULT 1;
-- What it said from then on counts nowhere.
ALTER TABLE agents ADD COLUMN disowned_since INTEGER;
-- Earlier collectors kept the newest key and never compared it: of a renewed agent nobody knows which one it uses until it uses
-- that one.
ALTER TABLE agents ADD COLUMN key_known INTEGER NOT NULL DEFAULT 1;
UPDATE agents SET next_key_hash = key_hash, key_known = 0 WHERE renewed_at IS NOT NULL;

-- Whether the device that shows the token may be the second one of its site.
ALTER TABLE tokens ADD COLUMN second INTEGER NOT NULL DEFAULT 0;

-- What live state and history have taken out, as far as the engine has come.
CREATE TABLE engine_disowned (
    agent TEXT PRIMARY KEY,
    since INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- How often an agent wanted more than it may have.
CREATE TABLE agent_limits (
    agent   TEXT NOT NULL,
    day     INTEGER NOT NULL,
    reason  TEXT NOT NULL,
    hits    INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    PRIMARY KEY (agent, day, reason)
) STRICT, WITHOUT ROWID;

-- Probes that run programs or read files on routers: who brought them in, and who else agreed.
CREATE TABLE programs (
    digest       TEXT PRIMARY KEY,         -- SHA-256 of probe and settings as written
    probe        TEXT NOT NULL,
    settings     TEXT NOT NULL,            -- YAML
    asked_by     TEXT NOT NULL,
    asked_at     INTEGER NOT NULL,
    confirmed_by TEXT,
    confirmed_at INTEGER
) STRICT, WITHOUT ROWID;
