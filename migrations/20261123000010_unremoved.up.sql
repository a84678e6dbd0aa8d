-- Deleted versions whose zips are, or may still be, in the blob store are looked for all the time and hardly ever there.

CREATE INDEX versions_unremoved ON versions (module, version) WHERE deleted AND (held OR fetch_leased_until IS NOT NULL);
