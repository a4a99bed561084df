-- Rows of tables without transactions that the way back is about to write, noted before: nothing else tells after a
-- death which of them were written. Keys and keyed digests, no value; struck out when the chunk is done.
create table mig.write_ahead (
  department_code text not null,
  source_table_no smallint not null references mig.source_table (source_table_no),
  source_key text not null,
  id uuid not null,
  row_hash bytea,
  is_known boolean not null default false,
  is_written boolean not null default false,
  run_no bigint not null,
  chunk_no integer not null,
  attempt integer not null,
  noted_at timestamptz not null default clock_timestamp(),
  constraint write_ahead_pkey primary key (department_code, source_table_no, source_key),
  constraint write_ahead_run_no_fkey foreign key (run_no, chunk_no) references mig.chunk (run_no, chunk_no));

grant select, insert, update, delete on mig.write_ahead to banyan_reverse;
grant select on mig.write_ahead to banyan_auditor, banyan_guard;
