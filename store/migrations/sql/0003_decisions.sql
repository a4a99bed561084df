-- What stewards decided about quarantined values: one row a decision, sealed where it holds a value of a record.
create table mig.decision (
  decision_no bigint generated always as identity,
  department_code text not null,
  system_code text not null,
  kind text not null,
  code_map text,
  code text,
  means text,
  table_name text,
  column_name text,
  raw_digest bytea,
  raw bytea,
  read_as bytea,
  cause text not null,
  reason text not null,
  actor text not null,
  role text not null,
  authenticated_by text not null,
  decided_at timestamptz default clock_timestamp() not null,
  undone_by text,
  undone_at timestamptz,
  undone_reason text,
  constraint decision_pkey primary key (decision_no),
  constraint decision_department_code_fkey foreign key (department_code, system_code)
    references mig.source_system (department_code, system_code),
  constraint decision_kind_check check (kind in ('CODE', 'VALUE')),
  constraint decision_reason_check check (btrim(reason) <> ''),
  constraint decision_shape_check check (
    case kind when 'CODE' then code_map is not null and code is not null and means is not null
              else table_name is not null and column_name is not null and raw is not null and raw_digest is not null end));
create unique index one_standing_code on mig.decision (department_code, system_code, code_map, code)
  where undone_at is null and kind = 'CODE';
create unique index one_standing_value on mig.decision (department_code, system_code, table_name, column_name, raw_digest)
  where undone_at is null and kind = 'VALUE';

-- The columns of a legacy system as they were when its rules were last agreed with it.
create table mig.source_column (
  department_code text not null,
  system_code text not null,
  table_name text not null,
  column_name text not null,
  position bigint not null,
  type_name text not null,
  is_nullable boolean not null,
  seen_at timestamptz default clock_timestamp() not null,
  constraint source_column_pkey primary key (department_code, system_code, table_name, column_name),
  constraint source_column_department_code_fkey foreign key (department_code, system_code)
    references mig.source_system (department_code, system_code));

-- Values that earlier releases kept in the clear: the legacy system still holds them, and the next reading seals them.
update mig.quarantine set raw = null where raw is not null;

grant select on mig.decision, mig.source_column
  to banyan_forward, banyan_reverse, banyan_steward, banyan_auditor, banyan_judge, banyan_guard;
grant insert on mig.decision to banyan_steward;
grant update (undone_by, undone_at, undone_reason) on mig.decision to banyan_steward;
grant insert, update, delete on mig.source_column to banyan_forward;
