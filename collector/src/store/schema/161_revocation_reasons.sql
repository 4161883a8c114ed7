-- Why an agent was revoked, as whoever did it wrote.
ALTER TABLE agents ADD COLUMN revoke_reason TEXT NOT NULL DEFAULT '';
