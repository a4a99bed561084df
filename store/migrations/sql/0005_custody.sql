-- What the custody, document and logbook tables of a legacy system say beyond the first model, and its code tables.
alter table justice.incident add column reporting_official_id uuid;
alter table justice.document add column drawn_up_precision_code text;
alter table justice.evidence add column sealed_precision_code text, add column description text;
alter table justice.custody_transfer add column transferred_precision_code text, add column official_id uuid;
alter table justice.detention
  add column started_precision_code text,
  add column ended_precision_code text,
  add column extended boolean,
  add column rights_notified_text text,
  add column reason_text text;

create table justice.recorded_code (
  id uuid not null,
  department_code text not null,
  code_set_code text,
  code text,
  label text,
  valid_from date,
  valid_to date,
  domain_code text not null,
  origin text not null,
  row_version bigint default 1 not null,
  updated_at timestamp with time zone default now() not null,
  constraint recorded_code_pkey primary key (id, department_code),
  constraint recorded_code_origin_check check (origin in ('LEGACY', 'TARGET', 'STEWARD'))
)
 partition by list (department_code);

grant select, insert, update, delete on justice.recorded_code to banyan_forward, banyan_app;
grant maintain on justice.recorded_code to banyan_forward;
grant select on justice.recorded_code to banyan_reverse, banyan_steward, banyan_judge;
call mig.fit('justice.recorded_code');

-- Until when each row may be kept, judged over a whole legacy system before its first copy; keys, never a value.
create table mig.retention_term (
  department_code text not null,
  source_table_no smallint not null,
  source_key text not null,
  until date,
  rule_code text,
  is_expired boolean not null,
  person_key text,
  case_key text,
  judged_on date not null,
  constraint retention_term_pkey primary key (department_code, source_table_no, source_key),
  constraint retention_term_source_table_no_fkey foreign key (source_table_no)
    references mig.source_table (source_table_no));
create index retention_term_person on mig.retention_term (department_code, person_key);
create index retention_term_case on mig.retention_term (department_code, case_key);
grant select, insert, update, delete on mig.retention_term to banyan_forward;
grant select on mig.retention_term to banyan_reverse, banyan_judge, banyan_steward, banyan_auditor;

-- Which parent a filtered row follows, so that a parent that comes back takes its own children along and no others.
alter table mig.filtered_row add column parent_key text;
create index filtered_row_parent on mig.filtered_row (department_code, source_table_no, parent_key);

do $$
declare
  known text;
begin
  for known in select department_code from mig.department loop
    call mig.add_partitions(known);
  end loop;
end $$;
