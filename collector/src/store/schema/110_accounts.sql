-- Accounts: devices, sessions that can be listed and ended, passwords that have to be changed, tokens that show their use.
-- Times are Unix milliseconds.

-- Keys this collector signs with: 64 hexadecimal digits.
CREATE TABLE signing_keys (
    purpose TEXT PRIMARY KEY,
    key     TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Where a session was opened and from what; when its person last typed their password.
ALTER TABLE sessions ADD COLUMN address TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN browser TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN confirmed_at INTEGER NOT NULL DEFAULT 0;

-- Until when a password holds that somebody else gave out and that has to be changed before anything else; NULL for one's own.
ALTER TABLE users ADD COLUMN temporary_until INTEGER;

-- Addresses a token may be used from, blank-separated networks such as 10.0.0.0/8; NULL for any. And its last use.
ALTER TABLE api_tokens ADD COLUMN networks TEXT;
ALTER TABLE api_tokens ADD COLUMN used_at INTEGER;
ALTER TABLE api_tokens ADD COLUMN used_from TEXT;

-- Which address used a token on which day (since 1970-01-01 in Tehran); the first use of each is in the audit log.
CREATE TABLE token_uses (
    token   INTEGER NOT NULL REFERENCES api_tokens (id) ON DELETE CASCADE,
    day     INTEGER NOT NULL,
    address TEXT NOT NULL,
    PRIMARY KEY (token, day, address)
) STRICT, WITHOUT ROWID;
