DROP TABLE chores;
DROP INDEX versions_scrub;
ALTER TABLE versions DROP COLUMN scrubbed_at;
