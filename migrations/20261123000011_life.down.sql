DROP INDEX audit_subject;
DROP TABLE deliveries;
DROP TABLE arrivals;
ALTER TABLE versions DROP COLUMN asked_at, DROP COLUMN held_at, DROP COLUMN held_from, DROP COLUMN served_at;
