-- Who takes care of an incident, and for which region: an acknowledgement counts within the scope of who gave it.
CREATE TABLE incident_acknowledgements (
    incident INTEGER NOT NULL REFERENCES incidents (id),
    region   TEXT NOT NULL,                 -- the code they are bound to; empty for everything
    by_user  TEXT NOT NULL,
    at       INTEGER NOT NULL,
    PRIMARY KEY (incident, region)
) STRICT, WITHOUT ROWID;
INSERT INTO incident_acknowledgements (incident, region, by_user, at)
    SELECT id, '', coalesce(acknowledged_by, ''), acknowledged_at FROM incidents WHERE acknowledged_at IS NOT NULL;
