-- What an agent says of the assignments it has: `in=16 hexadecimal digits; trial=..; refused=..; reason=text`. NULL: it never said.
ALTER TABLE agents ADD COLUMN assignment TEXT;
