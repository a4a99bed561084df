-- What following costs for each changed key: the key log names no source that its place does not, and the tombstones
-- among ten thousand keys are found without looking at the rows that stand.

-- The place of the log, which has this foreign key, is locked by whoever adds keys; a foreign key of their own was asked
-- once a key, and was half of what keeping them costs.
alter table mig.log_key drop constraint log_key_department_code_fkey;

create index crosswalk_id_idx on mig.crosswalk (id) where deleted_at is not null;
