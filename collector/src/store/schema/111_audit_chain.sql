-- Every row of the audit log is chained to the one before it; earlier rows are taken in when this is applied.

CREATE TABLE audit_chain (
    id   INTEGER PRIMARY KEY REFERENCES audit (id),
    hash TEXT NOT NULL                     -- SHA-256 over the hash before and the row, as store/chain.rs says
) STRICT;

-- Rows up to `before` were removed because of their age; `hash` is the last one's.
CREATE TABLE audit_begin (
    one    INTEGER PRIMARY KEY CHECK (one = 1),
    before INTEGER NOT NULL,
    hash   TEXT NOT NULL
) STRICT;
INSERT INTO audit_begin (one, before, hash) VALUES (1, 0, '');

DROP TRIGGER audit_is_never_shortened;
CREATE TRIGGER audit_is_shortened_only_at_its_beginning BEFORE DELETE ON audit WHEN OLD.id > (SELECT before FROM audit_begin)
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_chain_is_never_changed BEFORE UPDATE ON audit_chain BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_chain_is_shortened_only_at_its_beginning BEFORE DELETE ON audit_chain WHEN OLD.id > (SELECT before FROM audit_begin)
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;

-- The configuration of the last start, so that the next one can say what changed in it.
CREATE TABLE last_configuration (
    one    INTEGER PRIMARY KEY CHECK (one = 1),
    digest TEXT NOT NULL,
    text   TEXT NOT NULL
) STRICT;
