-- Version 9 of the journal: who has had a lock on a GPU in this boot, and may be on it still; and which journal it is.

CREATE TABLE tenants (
    number     INTEGER PRIMARY KEY,  -- the highest was known last
    gpu        TEXT NOT NULL,
    pid        INTEGER NOT NULL,
    start_time INTEGER NOT NULL,
    boot_id    TEXT NOT NULL,
    UNIQUE (gpu, pid)
);
INSERT INTO tenants (gpu, pid, start_time, boot_id)
    SELECT gpu, pid, start_time, boot_id FROM lock_gpus JOIN locks USING (token) WHERE start_time != 0;

-- Another one as soon as anything was left out of it, so that nobody goes on who believes in what it has forgotten.
ALTER TABLE meta ADD COLUMN id BLOB NOT NULL DEFAULT x'';
UPDATE meta SET id = randomblob(16);
