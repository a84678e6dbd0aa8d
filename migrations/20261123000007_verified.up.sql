-- What has been verified of the log of each peer, and what was caught.

ALTER TABLE peers
  ADD COLUMN epoch bigint NOT NULL DEFAULT 0 CHECK (epoch >= 0),
  ADD COLUMN verified_size bigint NOT NULL DEFAULT 0 CHECK (verified_size >= 0),
  ADD COLUMN edge bytea NOT NULL DEFAULT '' CHECK (octet_length(edge) % 32 = 0),
  ADD COLUMN checkpoint text NOT NULL DEFAULT '',
  ADD COLUMN evidence_before text NOT NULL DEFAULT '',
  ADD COLUMN evidence_after text NOT NULL DEFAULT '',
  DROP CONSTRAINT peers_state_check,
  ADD CONSTRAINT peers_state_check CHECK (state IN ('active', 'paused', 'removed', 'quarantined')),
  ADD CONSTRAINT peers_quarantined_with_evidence CHECK (state <> 'quarantined' OR evidence_before <> '' AND evidence_after <> ''),
  ADD CONSTRAINT peers_verified_is_signed CHECK ((checkpoint <> '') = (epoch > 0) AND (verified_size = 0 OR checkpoint <> ''));
COMMENT ON COLUMN peers.epoch IS 'Of its log, as last verified; 0: nothing has been.';
COMMENT ON COLUMN peers.verified_size IS 'Events of that epoch that are proved to be in the tree that the checkpoint signs.';
COMMENT ON COLUMN peers.edge IS 'The right edge of that tree: enough to hash further events onto it.';
COMMENT ON COLUMN peers.checkpoint IS 'The signed note of that tree.';
COMMENT ON COLUMN peers.evidence_before IS 'Of a quarantined peer: what it had signed and was verified …';
COMMENT ON COLUMN peers.evidence_after IS '… and what it signed later. Both cannot be true.';
