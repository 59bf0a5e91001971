-- Version 4 of the journal: turns that are committed, and not yet entered into the tables.

CREATE TABLE turns (
    number  INTEGER PRIMARY KEY,
    entries BLOB NOT NULL            -- MessagePack; see `entries.py`
);
