-- What the second text of the definitions stands on.

-- Round-trip times of a link's anchors packet by packet, and each over the least of its target's five minutes: histograms
-- of microseconds. Empty for days that were built before they were kept.
ALTER TABLE daily_packets ADD COLUMN rtt_us BLOB NOT NULL DEFAULT x'';
ALTER TABLE daily_packets ADD COLUMN pdv_us BLOB NOT NULL DEFAULT x'';

-- Of a site's day, what was learnt from reports that came later than ten minutes: seconds known, and of those down. It was
-- unknown while it happened.
ALTER TABLE daily_reports ADD COLUMN late_known_s INTEGER NOT NULL DEFAULT 0;
ALTER TABLE daily_reports ADD COLUMN late_down_s INTEGER NOT NULL DEFAULT 0;

-- Work announced a day ahead inside an outage does not split it: JSON list of [from, until], Unix milliseconds.
ALTER TABLE outages ADD COLUMN work TEXT NOT NULL DEFAULT '[]';
