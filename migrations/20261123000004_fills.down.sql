DROP TABLE checksum_files;
DROP TABLE upstream_lists;
DROP TABLE fills;
