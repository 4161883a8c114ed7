-- Second factors: base-32 secrets, and the SHA-256 of recovery codes that are not used yet.
ALTER TABLE users ADD COLUMN totp_secret TEXT;
ALTER TABLE users ADD COLUMN totp_pending TEXT;
-- The newest step whose code was taken: none is taken twice.
ALTER TABLE users ADD COLUMN totp_step INTEGER NOT NULL DEFAULT 0;

CREATE TABLE recovery_codes (
    user_name TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    hash      TEXT NOT NULL,
    PRIMARY KEY (user_name, hash)
) STRICT, WITHOUT ROWID;
