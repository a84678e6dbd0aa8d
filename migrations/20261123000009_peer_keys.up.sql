-- While a peer changes its key, the one before it counts for a while longer.

ALTER TABLE peers ADD COLUMN old_key text NOT NULL DEFAULT '', ADD COLUMN old_key_until timestamptz;
COMMENT ON COLUMN peers.old_key IS 'The verifier key before this one; it counts until old_key_until.';
