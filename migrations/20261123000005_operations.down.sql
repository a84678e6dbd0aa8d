DROP TABLE audit;
DROP TABLE processes;
