ALTER TABLE versions DROP COLUMN trace;
