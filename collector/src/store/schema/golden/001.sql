-- The state database of the first released schema, with rows. Never edited: later versions must read it.
CREATE TABLE migrations (number INTEGER PRIMARY KEY) STRICT;

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

INSERT INTO migrations (number) VALUES (1);
INSERT INTO agents VALUES ('00000000000000a1', '15-0001', 'aa', 1795251600000, NULL, 1826787600000, NULL);
INSERT INTO agents VALUES ('00000000000000a2', '15-0002', 'bb', 1795251600000, 1795251700000, 1826787600000, 1795251800000);
INSERT INTO tokens VALUES ('cc', '15-0001', 1795251500000, 1795337900000, 1795251600000, '00000000000000a1');
INSERT INTO audit (at, actor, action, subject, detail) VALUES (1795251600000, 'token:cc', 'agent.enroll', '00000000000000a1', '15-0001');
PRAGMA user_version = 1;
