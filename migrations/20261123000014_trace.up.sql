-- The trace that told of a version, for whichever process fetches its zip.

ALTER TABLE versions ADD COLUMN trace text NOT NULL DEFAULT '';
COMMENT ON COLUMN versions.trace IS 'W3C traceparent that its fetch goes on with; empty once it is held, and where nothing is traced.';
