-- The language a person chose last; NULL until they chose one.
ALTER TABLE users ADD COLUMN lang TEXT;
