-- People whom a directory knows: which one, and what it calls them for ever. NULL: an account of this collector.
ALTER TABLE users ADD COLUMN directory TEXT CHECK (directory IN ('openid', 'ldap'));
ALTER TABLE users ADD COLUMN subject TEXT;
CREATE UNIQUE INDEX users_by_subject ON users (directory, subject) WHERE directory IS NOT NULL;
