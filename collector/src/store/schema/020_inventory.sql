-- Every inventory version ever imported, as its canonical files. A version is never changed or removed: history is read
-- with the version that held.

CREATE TABLE inventory_versions (
    version        INTEGER PRIMARY KEY,
    effective_from INTEGER NOT NULL,       -- Unix milliseconds
    imported_at    INTEGER NOT NULL,
    imported_by    TEXT NOT NULL,
    digest         TEXT NOT NULL,          -- SHA-256 over names, lengths and contents of the files
    files          BLOB NOT NULL           -- gzip; the layout is in inventory/versions.rs
) STRICT;
CREATE TRIGGER inventory_versions_are_never_changed BEFORE UPDATE ON inventory_versions
    BEGIN SELECT RAISE(ABORT, 'inventory versions are immutable'); END;
CREATE TRIGGER inventory_versions_are_never_removed BEFORE DELETE ON inventory_versions
    BEGIN SELECT RAISE(ABORT, 'inventory versions are immutable'); END;
