-- When the first of a boot was received: a boot without a proof was over before the one began that carried it.

ALTER TABLE boots ADD COLUMN heard_at INTEGER;
