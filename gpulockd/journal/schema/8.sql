-- Version 8 of the journal: in which control group a holder was, for it cannot be asked for that once it is dead.

ALTER TABLE locks ADD COLUMN cgroup TEXT;
