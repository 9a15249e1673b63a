DROP TABLE tuf_files;
