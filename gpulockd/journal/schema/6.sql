-- Version 6 of the journal: turns that are committed are in a log beside it; see `turns.py`.
--
-- The table `turns` is only read any more, once, where an older gpulockd has left something in it.

ALTER TABLE meta ADD COLUMN log  BLOB NOT NULL DEFAULT x'';    -- the id of that log; empty: there is none
ALTER TABLE meta ADD COLUMN turn INTEGER NOT NULL DEFAULT 0;   -- the last one that is in the tables
