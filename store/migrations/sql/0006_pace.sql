-- Keys read from the log of a legacy system, kept until they are carried; and at which pace a source may be read.
create table mig.log_place (
  department_code text not null,
  system_code text not null,
  capture text not null,
  started bigint not null,
  reached bigint not null,
  mark text not null,
  updated_at timestamptz default now() not null,
  constraint log_place_pkey primary key (department_code, system_code),
  constraint log_place_department_code_fkey foreign key (department_code, system_code)
    references mig.source_system (department_code, system_code),
  constraint log_place_reached_check check (reached >= started));

create table mig.log_key (
  seq bigint generated always as identity not null,
  department_code text not null,
  system_code text not null,
  xid xid8 not null,
  table_name text not null,
  op text not null,
  key text not null,
  constraint log_key_pkey primary key (seq),
  constraint log_key_department_code_fkey foreign key (department_code, system_code)
    references mig.source_system (department_code, system_code),
  constraint log_key_op_check check (op in ('I', 'U', 'D', 'T', 'R')));
create index log_key_department_code_system_code_xid_idx on mig.log_key (department_code, system_code, xid);

create table mig.row_mark (
  department_code text not null,
  source_table_no smallint not null,
  source_key text not null,
  row_hash bytea not null,
  constraint row_mark_pkey primary key (department_code, source_table_no, source_key),
  constraint row_mark_source_table_no_fkey foreign key (source_table_no) references mig.source_table (source_table_no));

create table mig.pace (
  department_code text not null,
  system_code text not null,
  chunk_seconds double precision not null,
  most_active bigint,
  most_lock_waits bigint,
  closed_from text,
  closed_until text,
  paused_at timestamptz,
  changed_by text not null,
  changed_at timestamptz default now() not null,
  constraint pace_pkey primary key (department_code, system_code),
  constraint pace_department_code_fkey foreign key (department_code, system_code)
    references mig.source_system (department_code, system_code),
  constraint pace_chunk_seconds_check check (chunk_seconds > 0),
  constraint pace_closed_from_check check ((closed_from is null) = (closed_until is null)));

grant select, insert, update, delete on mig.log_place, mig.log_key, mig.row_mark to banyan_forward;
grant select, insert, update on mig.pace to banyan_forward;
grant select on mig.log_place, mig.pace to banyan_reverse, banyan_steward, banyan_auditor, banyan_judge, banyan_guard;
