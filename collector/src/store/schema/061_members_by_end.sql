-- What an incident held in a window is asked by its end; an open one has none, which lies after every window. The rest of
-- the columns spares the table: of an old window everything since then is passed over.
CREATE INDEX incident_members_by_end
    ON incident_members (coalesce(left_at, 9223372036854775807), since, attached_at, left_at);
