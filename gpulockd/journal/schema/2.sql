-- Version 2 of the journal: the pages that a turn need not touch.
--
-- A lock's row says by itself whether its end is still to be written, so history needs no index of its tokens; and
-- the daemon deletes a lock's GPUs by name, which a foreign key would have it look for among those of all locks.

CREATE TABLE ended (
    number     INTEGER PRIMARY KEY,
    token      INTEGER NOT NULL,
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
INSERT INTO ended SELECT * FROM history;

-- The primary key is the law: at most one live lock on a GPU.
CREATE TABLE held_gpus (
    gpu   TEXT PRIMARY KEY,
    token INTEGER NOT NULL,          -- of the lock
    place INTEGER NOT NULL           -- among the lock's GPUs
) WITHOUT ROWID;
INSERT INTO held_gpus SELECT * FROM lock_gpus;

DROP TRIGGER tokens_grow;
DROP TABLE lock_gpus;
DROP TABLE history;
ALTER TABLE held_gpus RENAME TO lock_gpus;
ALTER TABLE ended RENAME TO history;

-- As before, except that history is looked through only for a token that is not above every earlier one.
CREATE TRIGGER tokens_grow BEFORE INSERT ON locks
WHEN NOT EXISTS (SELECT 1 FROM locks WHERE token = NEW.token)
BEGIN
    SELECT RAISE(IGNORE)
      FROM meta CROSS JOIN history WHERE NEW.token <= highest_token AND token = NEW.token;
    SELECT RAISE(ABORT, 'the token is not above every earlier one')
      FROM meta WHERE NEW.token <= highest_token;
    SELECT RAISE(ABORT, 'the epoch of the token was not raised before')
      FROM meta WHERE NEW.token >> 32 > epoch;
    UPDATE meta SET highest_token = NEW.token;
END;
