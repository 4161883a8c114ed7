-- Who may speak: agents, the one-time tokens that let them in, and the audit of every such decision.
-- Times are Unix milliseconds; ids are sixteen hexadecimal digits, as people see them.

CREATE TABLE agents (
    id          TEXT PRIMARY KEY,
    site_code   TEXT NOT NULL,
    key_hash    TEXT NOT NULL,             -- SHA-256 of its public key
    enrolled_at INTEGER NOT NULL,
    renewed_at  INTEGER,
    not_after   INTEGER NOT NULL,          -- of its newest certificate
    revoked_at  INTEGER
) STRICT;
CREATE INDEX agents_by_site ON agents (site_code);

CREATE TABLE tokens (
    hash        TEXT PRIMARY KEY,          -- SHA-256 of the token; the token itself is nowhere
    site_code   TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    used_at     INTEGER,
    used_by     TEXT REFERENCES agents (id)
) STRICT;

-- Append-only: what was done, by whom, to what. Nothing in the product changes or removes a row.
CREATE TABLE audit (
    id      INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    actor   TEXT NOT NULL,                 -- user:NAME, agent:ID, token:PREFIX or cli
    action  TEXT NOT NULL,                 -- dotted, such as agent.revoke
    subject TEXT NOT NULL,
    detail  TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE TRIGGER audit_is_never_changed BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_is_never_shortened BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
