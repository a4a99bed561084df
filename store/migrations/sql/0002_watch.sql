-- What the watchdog leaves behind: that it is alive, and which accounts it has seen write in a legacy system.
create table mig.guard_beat (
  guard text not null,
  host text not null,
  process_id bigint not null,
  period_seconds bigint not null,
  started_at timestamptz not null,
  beat_at timestamptz default now() not null,
  is_sure boolean not null,
  constraint guard_beat_pkey primary key (guard));

create table mig.seen_writer (
  department_code text not null,
  system_code text not null,
  account text not null,
  table_name text not null,
  application text not null,
  first_seen_at timestamptz default now() not null,
  last_seen_at timestamptz default now() not null,
  constraint seen_writer_pkey primary key (department_code, system_code, account, table_name),
  constraint seen_writer_department_code_fkey foreign key (department_code, system_code)
    references mig.source_system (department_code, system_code));

grant select on mig.guard_beat, mig.seen_writer
  to banyan_forward, banyan_steward, banyan_auditor, banyan_judge, banyan_guard;
grant insert, update on mig.guard_beat, mig.seen_writer to banyan_guard;
