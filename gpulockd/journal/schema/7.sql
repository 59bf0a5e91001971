-- Version 7 of the journal: on which connection a lock is held and a request waits, for connections outlive the daemon.

ALTER TABLE locks ADD COLUMN session INTEGER;
ALTER TABLE requests ADD COLUMN session INTEGER;
ALTER TABLE requests ADD COLUMN msgid INTEGER;
