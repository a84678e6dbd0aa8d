-- The processes of this deployment, and what administrators did.

CREATE TABLE processes (
  id text PRIMARY KEY,
  role text NOT NULL,
  host text NOT NULL,
  started_at timestamptz NOT NULL DEFAULT now(),
  seen_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN processes.seen_at IS 'Renewed every few seconds; a process not seen for longer is dead, and its jobs and fills are taken up by others.';

CREATE TABLE audit (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  time timestamptz NOT NULL DEFAULT now(),
  actor text NOT NULL,
  action text NOT NULL,
  subject text NOT NULL,
  detail text NOT NULL DEFAULT ''
);
