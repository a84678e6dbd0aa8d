DROP TABLE nonces;
DROP TABLE peers;
