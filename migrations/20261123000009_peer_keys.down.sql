ALTER TABLE peers DROP COLUMN old_key, DROP COLUMN old_key_until;
