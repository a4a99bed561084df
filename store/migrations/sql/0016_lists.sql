-- Lists of a first copy are found by their keys at once, and not after the server happened to count their values.

-- Counted after the first copy, as records are: a planner that believes a list empty reads all of it for each chunk.
grant maintain on mig.filtered_row, mig.quarantine, mig.retention_term to banyan_forward;  -- ANALYZE

-- Most filtered rows follow no parent: an index that begins like the key, and names them all, was taken for the key.
drop index mig.filtered_row_parent;
create index filtered_row_parent on mig.filtered_row (department_code, source_table_no, parent_key)
  where parent_key is not null;
