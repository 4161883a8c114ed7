-- Links that sign somebody in once, made on the server's own shell. The secret itself is kept nowhere.
CREATE TABLE sign_in_links (
    hash TEXT PRIMARY KEY,
    user_name TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
