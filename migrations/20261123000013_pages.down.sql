DROP INDEX IF EXISTS versions_prefix;
DROP INDEX versions_failed;
DROP INDEX versions_conflict;
DROP TABLE lag_samples;
DROP TRIGGER peers_behind ON peers;
DROP FUNCTION peers_behind();
ALTER TABLE peers DROP COLUMN behind_since;
