-- What explains the life of one version, beside its events: how they came here, where the zip came from, what became of the pushes.

ALTER TABLE versions
  ADD COLUMN asked_at timestamptz,
  ADD COLUMN held_at timestamptz,
  ADD COLUMN held_from text NOT NULL DEFAULT '',
  ADD COLUMN served_at timestamptz;
COMMENT ON COLUMN versions.asked_at IS 'When the fill began that brought it.';
COMMENT ON COLUMN versions.held_at IS 'When its zip was last stored.';
COMMENT ON COLUMN versions.held_from IS 'Where that came from: the name of a peer, a place of upstream, an import.';
COMMENT ON COLUMN versions.served_at IS 'When a client was first given one of its files, to the second.';

-- A row for each transaction that took events of others, not for each event: a first pull of a million has a thousand of them.
CREATE TABLE arrivals (
  first_position bigint PRIMARY KEY CHECK (first_position >= 1),
  last_position bigint NOT NULL CHECK (last_position >= first_position),
  way text NOT NULL CHECK (way IN ('push', 'pull', 'question')),
  peer text NOT NULL CHECK (peer <> '')
);
COMMENT ON TABLE arrivals IS 'By which way, and from which peer, the events of a range of positions came. What originated here has none.';

CREATE TABLE deliveries (
  peer text NOT NULL CHECK (peer <> ''),
  first_position bigint NOT NULL CHECK (first_position >= 1),
  last_position bigint NOT NULL CHECK (last_position >= first_position AND last_position - first_position < 10000),
  ended_at timestamptz NOT NULL DEFAULT now(),
  attempts integer NOT NULL,
  error text NOT NULL,
  PRIMARY KEY (first_position, peer)
);
COMMENT ON TABLE deliveries IS 'How each push of own events ended: taken by the peer, or given up with an error.';

CREATE INDEX audit_subject ON audit (subject);
