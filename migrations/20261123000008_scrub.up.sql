-- When each held zip was last read whole, and what is done only once in a while, by whichever process comes first.

ALTER TABLE versions ADD COLUMN scrubbed_at timestamptz NOT NULL DEFAULT 'epoch';
COMMENT ON COLUMN versions.scrubbed_at IS 'When the zip in our blob store was last read whole and found good.';
CREATE INDEX versions_scrub ON versions (scrubbed_at, module, version) WHERE held AND NOT deleted;

CREATE TABLE chores (
  name text PRIMARY KEY,
  due_at timestamptz NOT NULL
);
