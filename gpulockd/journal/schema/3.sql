-- Version 3 of the journal: requests that wait. One that is granted or refused at once never gets here.

CREATE TABLE requests (
    id          TEXT PRIMARY KEY,
    owner       TEXT NOT NULL,       -- JSON
    reattach    TEXT,                -- digest of the key
    wish        TEXT NOT NULL,       -- JSON
    queued_at   REAL NOT NULL,
    rank_at     REAL NOT NULL,       -- its place in the queue: by this,
    rank_number INTEGER NOT NULL,    -- and then by this
    overtaken   INTEGER NOT NULL
) WITHOUT ROWID;
