DROP INDEX versions_unremoved;
