-- What the capture needs once in a legacy database: keys of changed rows, never a value of another column.
-- name: schema
create schema if not exists banyan

-- name: incarnation
create table if not exists banyan.incarnation (
  one boolean primary key default true check (one),
  id uuid not null default gen_random_uuid(),
  installed_at timestamptz not null default clock_timestamp())

-- name: incarnation_row
insert into banyan.incarnation default values on conflict do nothing

-- name: journal
create table if not exists banyan.journal (
  seq bigint generated always as identity,
  xid xid8 not null default pg_current_xact_id(),
  table_name text not null,
  op text not null check (op in ('I', 'U', 'D', 'T')),
  key text not null,
  origin text not null check (origin in ('PERSON', 'ROUTE')),
  at timestamptz not null default clock_timestamp())

-- name: journal_index
create index if not exists journal_xid on banyan.journal (xid)

-- name: captured
create table if not exists banyan.captured (
  table_name text primary key,
  schema_name text not null,
  table_oid oid not null,
  function_oid oid not null,
  digest text not null)

-- name: captured_children
alter table banyan.captured add column if not exists children oid[] not null default '{}'

-- name: pruned
create table if not exists banyan.pruned (
  one boolean primary key default true check (one),
  snapshot pg_snapshot not null)

-- name: prune
create or replace function banyan.prune(before pg_snapshot) returns bigint language plpgsql security definer
set search_path = pg_catalog, pg_temp as $banyan$
declare removed bigint;
begin
  insert into banyan.pruned as p (snapshot) values (before)
    on conflict (one) do update set snapshot = excluded.snapshot
    where pg_snapshot_xmax(p.snapshot) <= pg_snapshot_xmax(excluded.snapshot);
  delete from banyan.journal where xid < pg_snapshot_xmax(before) and pg_visible_in_snapshot(xid, before);
  get diagnostics removed = row_count;
  return removed;
end $banyan$

-- name: rights_1
revoke all on banyan.journal, banyan.captured, banyan.pruned, banyan.incarnation from public

-- name: rights_2
revoke all on function banyan.prune(pg_snapshot) from public

-- name: rights_3
grant usage on schema banyan to banyan_reader

-- name: rights_4
grant select on banyan.journal, banyan.captured, banyan.pruned, banyan.incarnation to banyan_reader

-- name: rights_5
grant execute on function banyan.prune(pg_snapshot) to banyan_reader
