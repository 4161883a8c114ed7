-- What people did, in the one order in which it takes effect. Rows are added and never changed. Who applies them keeps its
-- position in `notify_memory` ('journal') in the same transaction as what came of them.
CREATE TABLE journal (
    position INTEGER PRIMARY KEY AUTOINCREMENT, -- a number is never given twice
    at       INTEGER NOT NULL,                  -- Unix milliseconds
    actor    TEXT NOT NULL,                     -- user:NAME
    region   TEXT,                              -- code of the region the actor is bound to; NULL for everything
    subject  TEXT NOT NULL,                     -- such as incident/7
    kind     TEXT NOT NULL,                     -- acknowledged, assigned, note, cause, visited, resolved_by_hand
    body     TEXT NOT NULL
) STRICT;
CREATE INDEX journal_by_subject ON journal (subject, position);
CREATE TRIGGER journal_is_never_changed BEFORE UPDATE ON journal BEGIN SELECT RAISE(ABORT, 'the journal is never changed'); END;
CREATE TRIGGER journal_is_never_shortened BEFORE DELETE ON journal BEGIN SELECT RAISE(ABORT, 'the journal is never changed'); END;

-- Ends by hand that were asked for and not applied yet.
INSERT INTO journal (at, actor, subject, kind, body)
    SELECT COALESCE((SELECT MAX(at) FROM incident_timeline), 0), 'user:', 'incident/' || substr(name, 9), 'resolved_by_hand', value
    FROM notify_memory WHERE name LIKE 'resolve/%' ORDER BY name;
DELETE FROM notify_memory WHERE name LIKE 'resolve/%';
