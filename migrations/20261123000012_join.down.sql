ALTER TABLE peers DROP COLUMN announced_key;
DROP TABLE join_requests;
