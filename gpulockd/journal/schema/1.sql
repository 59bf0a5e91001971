-- Version 1 of the journal.
--
-- Times are seconds on the boot clock of `meta.boot_id`, except where a column is marked as wall clock.
-- Owners, selectors and the like, which are only ever read back whole, are JSON; an infinite time is NULL.

CREATE TABLE meta (
    only          INTEGER PRIMARY KEY CHECK (only = 1),
    epoch         INTEGER NOT NULL,  -- the highest one whose tokens may have been given out
    highest_token INTEGER NOT NULL,
    boot_id       TEXT NOT NULL,     -- the boot on whose clock the times are
    booted_at     REAL NOT NULL      -- wall clock when that clock stood at 0
);
INSERT INTO meta VALUES (1, 0, 0, '', 0);

-- Live locks.
CREATE TABLE locks (
    token      INTEGER PRIMARY KEY,
    id         TEXT NOT NULL,
    pid        INTEGER NOT NULL,
    start_time INTEGER NOT NULL,
    boot_id    TEXT NOT NULL,
    uid        INTEGER NOT NULL,
    gid        INTEGER NOT NULL,
    user       TEXT NOT NULL,
    command    TEXT NOT NULL,
    container  TEXT NOT NULL,
    admin      INTEGER NOT NULL,
    reattach   TEXT,                 -- digest of the key
    wish       TEXT NOT NULL,        -- JSON
    queued_at  REAL NOT NULL,
    granted_at REAL NOT NULL,
    ends_at    REAL,                 -- NULL: it never has to end
    state      TEXT NOT NULL,
    recall     TEXT,                 -- JSON
    depth      INTEGER NOT NULL,
    beat_at    REAL,
    progress   REAL,
    note       TEXT NOT NULL
);

-- The primary key is the law: at most one live lock on a GPU.
CREATE TABLE lock_gpus (
    gpu   TEXT PRIMARY KEY,
    token INTEGER NOT NULL REFERENCES locks ON DELETE CASCADE,
    place INTEGER NOT NULL           -- among the lock's GPUs
) WITHOUT ROWID;

-- A lock that is written again is no new one, and a lock that ended stays ended: records may be given twice. Any
-- other has a token above every earlier token, and of an epoch that was written down before, so that tokens do not
-- fall, not even after a power cut.
CREATE TRIGGER tokens_grow BEFORE INSERT ON locks
WHEN NOT EXISTS (SELECT 1 FROM locks WHERE token = NEW.token)
BEGIN
    SELECT RAISE(IGNORE)
      FROM history WHERE token = NEW.token;
    SELECT RAISE(ABORT, 'the token is not above every earlier one')
      FROM meta WHERE NEW.token <= highest_token;
    SELECT RAISE(ABORT, 'the epoch of the token was not raised before')
      FROM meta WHERE NEW.token >> 32 > epoch;
    UPDATE meta SET highest_token = NEW.token;
END;

CREATE TABLE quarantines (
    gpu      TEXT PRIMARY KEY,
    since    REAL NOT NULL,
    lock     TEXT NOT NULL,
    holder   TEXT NOT NULL,          -- JSON
    reason   TEXT NOT NULL,
    culprits TEXT NOT NULL           -- JSON
) WITHOUT ROWID;

CREATE TABLE drains (
    gpu        TEXT PRIMARY KEY,
    reason     TEXT NOT NULL,
    drained_by TEXT NOT NULL,
    drained_at REAL NOT NULL         -- wall clock
) WITHOUT ROWID;

-- Locks of the past, in the order in which they ended.
CREATE TABLE history (
    number     INTEGER PRIMARY KEY,
    token      INTEGER NOT NULL UNIQUE,
    lock       TEXT NOT NULL,
    gpus       TEXT NOT NULL,        -- JSON
    user       TEXT NOT NULL,
    uid        INTEGER NOT NULL,
    pid        INTEGER NOT NULL,
    command    TEXT NOT NULL,
    task       TEXT NOT NULL,
    waited     REAL NOT NULL,
    held       REAL NOT NULL,
    granted_at REAL NOT NULL,        -- wall clock
    ended_at   REAL NOT NULL,        -- wall clock
    how        TEXT NOT NULL,
    ended_by   TEXT NOT NULL
);
