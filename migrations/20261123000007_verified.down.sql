UPDATE peers SET state = 'paused' WHERE state = 'quarantined';
ALTER TABLE peers
  DROP CONSTRAINT peers_verified_is_signed,
  DROP CONSTRAINT peers_quarantined_with_evidence,
  DROP CONSTRAINT peers_state_check,
  ADD CONSTRAINT peers_state_check CHECK (state IN ('active', 'paused', 'removed')),
  DROP COLUMN epoch,
  DROP COLUMN verified_size,
  DROP COLUMN edge,
  DROP COLUMN checkpoint,
  DROP COLUMN evidence_before,
  DROP COLUMN evidence_after;
