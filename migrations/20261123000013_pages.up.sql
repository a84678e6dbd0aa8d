-- For the pages: since when each peer's log is ahead of what was taken of it, how far it was over the last day, and what is looked for among versions.

ALTER TABLE peers ADD COLUMN behind_since timestamptz;
COMMENT ON COLUMN peers.behind_since IS 'Since when its head, as last seen, is beyond the pull pointer; null while it is not. Only the trigger sets it.';
UPDATE peers SET behind_since = now() WHERE head > pull_position;

CREATE FUNCTION peers_behind() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.head > NEW.pull_position THEN
    NEW.behind_since := coalesce(NEW.behind_since, now());
  ELSE
    NEW.behind_since := NULL;
  END IF;
  RETURN NEW;
END
$$;
CREATE TRIGGER peers_behind BEFORE INSERT OR UPDATE OF head, pull_position ON peers FOR EACH ROW EXECUTE FUNCTION peers_behind();

CREATE TABLE lag_samples (
  time timestamptz NOT NULL,
  peer text NOT NULL,
  lag bigint NOT NULL CHECK (lag >= 0),
  lag_seconds bigint NOT NULL CHECK (lag_seconds >= 0),
  PRIMARY KEY (time, peer)
);
COMMENT ON TABLE lag_samples IS 'One row for each peer and minute of the last day: the plots on the pages. A minute without one is a minute in which no process ticked.';

-- What needs attention is looked for often, and few versions do.
CREATE INDEX versions_conflict ON versions (module, version) WHERE conflict;
CREATE INDEX versions_failed ON versions (module, version) WHERE NOT held AND NOT deleted AND fetch_error <> '';

-- The pages look for module paths by their beginning. The primary key serves where text is ordered by its bytes (collation C), which is what
-- `make run` sets up; in any other order it does not, and another index is worth what it costs.
DO $$
BEGIN
  IF NOT EXISTS (
    SELECT FROM pg_database d WHERE datname = current_database() AND datcollate IN ('C', 'POSIX') AND coalesce(to_jsonb(d) ->> 'datlocprovider', 'c') = 'c'
  ) THEN
    CREATE INDEX versions_prefix ON versions (module text_pattern_ops);
  END IF;
END
$$;
