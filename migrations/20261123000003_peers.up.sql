-- Peers, how far each of their logs has been taken, and the nonces of their requests.

CREATE TABLE peers (
  name text PRIMARY KEY CHECK (name <> ''),
  url text NOT NULL CHECK (url <> ''),
  key text NOT NULL CHECK (key <> ''),
  state text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'paused', 'removed')),
  pull_position bigint NOT NULL DEFAULT 0 CHECK (pull_position >= 0),
  head bigint NOT NULL DEFAULT 0 CHECK (head >= 0),
  pull_due_at timestamptz NOT NULL DEFAULT now(),
  last_pull_at timestamptz,
  last_push_sent_at timestamptz,
  last_push_received_at timestamptz,
  last_error text NOT NULL DEFAULT '',
  last_error_at timestamptz
);
COMMENT ON TABLE peers IS 'A removed peer keeps its row: what it still sends is refused by name, and its pull pointer is there if it comes back.';
COMMENT ON COLUMN peers.key IS 'Verifier key (note format), pinned when the peer was added.';
COMMENT ON COLUMN peers.pull_position IS 'The pull pointer: last position taken from the log of this peer. Only the transaction that records a page moves it.';
COMMENT ON COLUMN peers.head IS 'The head of its log as last seen.';

CREATE TABLE nonces (
  key_id text NOT NULL,
  nonce text NOT NULL,
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (key_id, nonce)
);
CREATE INDEX nonces_expires ON nonces (expires_at);
COMMENT ON TABLE nonces IS 'Seen in signed requests; kept until the signature would be refused as expired anyway.';
