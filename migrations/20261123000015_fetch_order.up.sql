-- What is fetched for the first time goes before what has failed, each longest due first.

DROP INDEX versions_fetch_due;
CREATE INDEX versions_fetch_due ON versions (least(fetch_attempts, 1), fetch_due_at) WHERE fetch_due_at IS NOT NULL;
