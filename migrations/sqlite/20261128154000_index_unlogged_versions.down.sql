DROP INDEX versions_unlogged;
