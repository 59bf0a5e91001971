-- Version 5 of the journal: what the driver saw under a lock, and requests that ended without one.

ALTER TABLE locks ADD COLUMN usage TEXT;                            -- JSON; NULL: nobody has looked yet

ALTER TABLE history ADD COLUMN profile TEXT NOT NULL DEFAULT '';
ALTER TABLE history ADD COLUMN container TEXT NOT NULL DEFAULT '';
ALTER TABLE history ADD COLUMN watched REAL NOT NULL DEFAULT 0;     -- seconds of its GPUs whose load is known
ALTER TABLE history ADD COLUMN idle REAL NOT NULL DEFAULT 0;        -- of these, without any load
ALTER TABLE history ADD COLUMN peak_memory INTEGER;                 -- bytes; NULL: nobody has looked
ALTER TABLE history ADD COLUMN strangers TEXT NOT NULL DEFAULT '[]';  -- JSON

CREATE TABLE unmet (
    number    INTEGER PRIMARY KEY,
    request   TEXT NOT NULL,
    user      TEXT NOT NULL,
    uid       INTEGER NOT NULL,
    pid       INTEGER NOT NULL,
    command   TEXT NOT NULL,
    container TEXT NOT NULL,
    task      TEXT NOT NULL,
    profile   TEXT NOT NULL,
    wanted    INTEGER NOT NULL,      -- GPUs
    waited    REAL NOT NULL,
    ended_at  REAL NOT NULL,         -- wall clock
    how       TEXT NOT NULL,
    times     INTEGER NOT NULL       -- more than 1: so many alike, and this is the last
);
