-- How far outages are known, and the days on which sites say nothing.

-- As far as an outage that lasts was seen, Unix milliseconds: it is counted no further.
ALTER TABLE outages ADD COLUMN seen_until INTEGER;

-- Of an outage that was not seen restored: 1 if work or closing hours ended it, 0 if nothing was heard any more. NULL in rows of
-- before, which did not tell them apart.
ALTER TABLE outages ADD COLUMN by_work INTEGER;

-- Between what the ends of a power cut lie that only the new boot proves: JSON [[from, until], [from, until]], Unix milliseconds.
ALTER TABLE outages ADD COLUMN bounds TEXT;

-- The last day whose silent sites were put on the list of days to build, for work and closing hours to be laid over.
CREATE TABLE silent_days (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    marked INTEGER NOT NULL
) STRICT;
