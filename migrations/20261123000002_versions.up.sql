-- What follows from the log, per module version, and where its zip is.

CREATE TABLE versions (
  module text NOT NULL,
  version text NOT NULL,
  add_position bigint,
  deprecated boolean NOT NULL,
  deleted boolean NOT NULL,
  conflict boolean NOT NULL,
  pinned boolean NOT NULL DEFAULT false,
  held boolean NOT NULL DEFAULT false,
  fetch_attempts integer NOT NULL DEFAULT 0,
  fetch_due_at timestamptz,
  fetch_leased_until timestamptz,
  fetch_error text NOT NULL DEFAULT '',
  fetch_error_at timestamptz,
  PRIMARY KEY (module, version),
  CONSTRAINT versions_held_is_pinned CHECK (pinned OR NOT held),
  CONSTRAINT versions_pinned_is_known CHECK (add_position IS NOT NULL OR NOT pinned),
  CONSTRAINT versions_due_is_remote CHECK (fetch_due_at IS NULL OR (add_position IS NOT NULL AND NOT held AND NOT deleted))
);
COMMENT ON COLUMN versions.add_position IS 'The add that this deployment serves; null while only a deprecate or delete is known. No foreign key: its row locks halve the speed of a first pull, events are never removed, and log:verify compares.';
COMMENT ON COLUMN versions.pinned IS 'Its .info, .mod or .zip has been served or its zip is held: add_position never changes again.';
COMMENT ON COLUMN versions.held IS 'The zip is in our blob store (until it is removed, also for a deleted version); else it is remote.';
COMMENT ON COLUMN versions.fetch_due_at IS 'When fetch may try next. Null: nothing to fetch.';
COMMENT ON COLUMN versions.fetch_leased_until IS 'A download that is under way has the row until then, and extends it while it lasts.';

CREATE INDEX versions_fetch_due ON versions (fetch_due_at) WHERE fetch_due_at IS NOT NULL;
