-- The version of the agent's program, as its uploads name it.
ALTER TABLE agents ADD COLUMN version TEXT;
