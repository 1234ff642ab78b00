"""The record and the files: the only room with SQL and file paths."""
