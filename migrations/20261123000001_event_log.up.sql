-- The event log: one row per event, numbered from 1 without a gap, never changed and never removed.
-- The invariants live here, so that not even a hand at psql can break them:
--   * event_log.head is always the position of the last event;
--   * an insert that does not continue the log exactly is refused;
--   * events are append-only;
--   * one event per (module, version, kind, zip hash);
--   * an add is whole (all hashes, .info and .mod), a deprecate or delete carries none of them.

CREATE TABLE event_log (
  singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  head bigint NOT NULL CHECK (head >= 0),
  logged_at timestamptz NOT NULL DEFAULT 'epoch'
);
COMMENT ON COLUMN event_log.logged_at IS 'When the last event was logged here.';
COMMENT ON TABLE event_log IS 'One row. Appending transactions lock it, so positions become visible in order.';

CREATE TABLE events (
  position bigint PRIMARY KEY CHECK (position >= 1),
  zip_size bigint NOT NULL,
  time timestamptz NOT NULL,
  logged_at timestamptz NOT NULL,
  kind text NOT NULL CHECK (kind IN ('add', 'deprecate', 'delete')),
  module text NOT NULL CHECK (module <> ''),
  version text NOT NULL CHECK (version <> ''),
  origin text NOT NULL CHECK (origin <> ''),
  zip_hash text NOT NULL,
  zip_sha256 text NOT NULL,
  mod_hash text NOT NULL,
  info text NOT NULL,
  mod text NOT NULL,
  reason text NOT NULL,
  CONSTRAINT events_whole CHECK (
    CASE WHEN kind = 'add'
      THEN left(zip_hash, 3) = 'h1:' AND length(zip_hash) = 47
        AND length(zip_sha256) = 64 AND zip_size > 0
        AND left(mod_hash, 3) = 'h1:' AND length(mod_hash) = 47
        AND info <> '' AND reason = ''
      ELSE zip_hash = '' AND zip_sha256 = '' AND zip_size = 0 AND mod_hash = '' AND info = '' AND mod = ''
    END
  ),
  CONSTRAINT events_once UNIQUE (module, version, kind, zip_hash)
);
COMMENT ON COLUMN events.time IS 'When its origin logged it.';
COMMENT ON COLUMN events.logged_at IS 'When it was logged here: strictly increasing with the position.';
COMMENT ON COLUMN events.origin IS 'The deployment whose log first held the event.';
COMMENT ON COLUMN events.zip_size IS 'Bytes.';
COMMENT ON COLUMN events.info IS 'The exact bytes that .info serves.';
COMMENT ON COLUMN events.mod IS 'The exact bytes that .mod serves.';

-- Runs once per INSERT or COPY, whatever the number of rows: the rows must be exactly head+1 … head+n,
-- logged after all before them.
CREATE FUNCTION event_log_advance() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  first bigint;
  last bigint;
  n bigint;
  since timestamptz;
  until timestamptz;
BEGIN
  SELECT min(position), max(position), count(*), min(logged_at), max(logged_at) INTO first, last, n, since, until FROM appended;
  IF n = 0 THEN
    RETURN NULL;
  END IF;
  UPDATE event_log SET head = last, logged_at = until
    WHERE head = first - 1 AND last - first + 1 = n AND logged_at < since;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'events % to % (% rows) do not continue the event log without a gap and in time', first, last, n
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  -- Delivered at commit: whoever follows the log wakes up.
  PERFORM pg_notify('olympus_events', last::text);
  RETURN NULL;
END
$$;

CREATE TRIGGER events_advance AFTER INSERT ON events
  REFERENCING NEW TABLE AS appended
  FOR EACH STATEMENT EXECUTE FUNCTION event_log_advance();

CREATE FUNCTION event_log_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% on % refused: the event log is append-only', TG_OP, TG_TABLE_NAME
    USING ERRCODE = 'integrity_constraint_violation';
END
$$;

CREATE TRIGGER events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON events
  FOR EACH STATEMENT EXECUTE FUNCTION event_log_refuse();
CREATE TRIGGER event_log_stays BEFORE DELETE OR TRUNCATE ON event_log
  FOR EACH STATEMENT EXECUTE FUNCTION event_log_refuse();

CREATE FUNCTION event_log_head_is_last() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.head <> coalesce((SELECT max(position) FROM events), 0) THEN
    RAISE EXCEPTION 'head % is not the position of the last event', NEW.head
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NULL;
END
$$;

CREATE TRIGGER event_log_head AFTER INSERT OR UPDATE ON event_log
  FOR EACH ROW EXECUTE FUNCTION event_log_head_is_last();

INSERT INTO event_log (head) VALUES (0);
