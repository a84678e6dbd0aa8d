-- Misses on their way in, and what upstream said lately.

CREATE TABLE fills (
  module text NOT NULL,
  version text NOT NULL,
  process text NOT NULL,
  started_at timestamptz NOT NULL DEFAULT now(),
  info text,
  mod text,
  attempts integer NOT NULL DEFAULT 0,
  due_at timestamptz NOT NULL DEFAULT now(),
  error text NOT NULL DEFAULT '',
  PRIMARY KEY (module, version),
  CONSTRAINT fills_recorded_whole CHECK ((info IS NULL) = (mod IS NULL))
);
COMMENT ON TABLE fills IS 'A version that one process is filling. Once .info and .mod are recorded they may have been answered: the event must carry exactly them.';
COMMENT ON COLUMN fills.process IS 'Who fills; empty after a failure. When nobody is at it, a fill job takes the row over once it is due.';

CREATE TABLE upstream_lists (
  module text PRIMARY KEY,
  versions text[] NOT NULL DEFAULT '{}',
  found boolean NOT NULL DEFAULT false,
  latest text NOT NULL DEFAULT '',
  asked_at timestamptz NOT NULL,
  asked_by text NOT NULL,
  answered_at timestamptz,
  error text NOT NULL DEFAULT ''
);
COMMENT ON COLUMN upstream_lists.versions IS 'Every version that upstream has ever listed: a version shown once is never forgotten.';
COMMENT ON COLUMN upstream_lists.found IS 'Upstream has known the module at least once.';
COMMENT ON COLUMN upstream_lists.latest IS 'What upstream called the latest, for modules without tagged versions.';
COMMENT ON COLUMN upstream_lists.asked_at IS 'When some process last took it upon itself to ask.';
COMMENT ON COLUMN upstream_lists.asked_by IS 'Which process that was. If it dies before the answer, another asks.';

CREATE TABLE checksum_files (
  file text PRIMARY KEY,
  content bytea NOT NULL
);
COMMENT ON TABLE checksum_files IS 'What the client of the checksum database remembers: its latest signed tree, tiles, lookups.';
