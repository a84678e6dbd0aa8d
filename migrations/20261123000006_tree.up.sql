-- The Merkle tree over the event log: event n is leaf n-1. Its tiles are written in the transaction that appends.

ALTER TABLE event_log
  ADD COLUMN tree_size bigint NOT NULL DEFAULT 0 CHECK (tree_size >= 0),
  ADD COLUMN epoch bigint NOT NULL DEFAULT 1 CHECK (epoch >= 1),
  ADD COLUMN after_size bigint CHECK (after_size >= 0),
  ADD COLUMN after_root bytea CHECK (octet_length(after_root) = 32),
  ADD CONSTRAINT event_log_tree_is_of_log CHECK (tree_size <= head),
  ADD CONSTRAINT event_log_epoch_follows CHECK ((epoch > 1) = (after_size IS NOT NULL) AND (epoch > 1) = (after_root IS NOT NULL));
COMMENT ON COLUMN event_log.tree_size IS 'Events that the tree holds. Behind the head only while an older release appends; whoever appends next catches up.';
COMMENT ON COLUMN event_log.epoch IS 'Within an epoch the log only grows. The next begins when the database turns out to be older than what has been signed.';
COMMENT ON COLUMN event_log.after_size IS 'What was signed last in the epoch before: size and root.';

CREATE TABLE tiles (
  level smallint NOT NULL CHECK (level BETWEEN 0 AND 7),
  index bigint NOT NULL CHECK (index >= 0),
  hashes bytea NOT NULL CHECK (octet_length(hashes) BETWEEN 32 AND 8192 AND octet_length(hashes) % 32 = 0),
  PRIMARY KEY (level, index)
);
ALTER TABLE tiles ALTER COLUMN hashes SET STORAGE EXTERNAL; -- hashes cannot be compressed
COMMENT ON TABLE tiles IS 'Up to 256 hashes side by side. Level 0: those of the events; a hash of the next level is the root of a full tile of this one.';

-- A tile only grows.
CREATE FUNCTION tiles_grow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP <> 'UPDATE' OR NEW.level <> OLD.level OR NEW.index <> OLD.index
    OR substring(NEW.hashes FOR octet_length(OLD.hashes)) <> OLD.hashes THEN
    RAISE EXCEPTION '% of tile %/% refused: hashes are append-only', TG_OP, OLD.level, OLD.index
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END
$$;
CREATE TRIGGER tiles_grow BEFORE UPDATE OR DELETE ON tiles FOR EACH ROW EXECUTE FUNCTION tiles_grow();
CREATE TRIGGER tiles_stay BEFORE TRUNCATE ON tiles FOR EACH STATEMENT EXECUTE FUNCTION event_log_refuse();
