-- Deployments that ask to become peers, and keys that peers announce.

-- A table of its own, not a state in peers: whoever asks is anybody. Nothing that looks for peers, in this release or in the one before, can find a request, and one under the name
-- of a removed peer leaves the row of that one as it is.
CREATE TABLE join_requests (
  name text PRIMARY KEY CHECK (name <> ''),
  url text NOT NULL CHECK (url <> ''),
  key text NOT NULL CHECK (split_part(key, '+', 1) = name),
  asked_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE join_requests IS 'Pending peers: who has asked to become a peer and waits for the operator. Nothing is sent to them, pulled from them or accepted from them.';
COMMENT ON COLUMN join_requests.url IS 'As the deployment says itself; nobody goes there before the operator has approved.';
COMMENT ON COLUMN join_requests.key IS 'Verifier key (note format); the request was signed with it.';
COMMENT ON COLUMN join_requests.asked_at IS 'The last time that it asked.';

ALTER TABLE peers ADD COLUMN announced_key text NOT NULL DEFAULT '';
COMMENT ON COLUMN peers.announced_key IS 'The verifier key that this peer says it will sign with; it counts for nothing until the operator takes it. Empty for none.';
