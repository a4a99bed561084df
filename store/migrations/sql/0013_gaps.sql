-- A table whose changes were not written down for a while, noted before its capture is repaired: until every row of it
-- is read again, nothing of its source is followed.
create table mig.capture_gap (
  department_code text not null,
  system_code text not null,
  table_name text not null,
  noted_at timestamptz not null default clock_timestamp(),
  constraint capture_gap_pkey primary key (department_code, system_code, table_name),
  constraint capture_gap_department_code_fkey foreign key (department_code, system_code)
    references mig.source_system (department_code, system_code));

grant select, insert, update, delete on mig.capture_gap to banyan_forward;
grant select on mig.capture_gap to banyan_reverse, banyan_steward, banyan_auditor, banyan_judge, banyan_guard;
