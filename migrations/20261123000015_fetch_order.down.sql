DROP INDEX versions_fetch_due;
CREATE INDEX versions_fetch_due ON versions (fetch_due_at) WHERE fetch_due_at IS NOT NULL;
