-- The log of a legacy PostgreSQL: what banyan installs for it, and what it asks before it trusts it.
-- name: schema
create schema if not exists banyan

-- name: capture
create table if not exists banyan.log_capture (
  one boolean primary key default true check (one),
  id uuid not null default gen_random_uuid(),
  slot text not null,
  mark text not null default '',
  previous_mark text not null default '',
  installed_at timestamptz not null default clock_timestamp())

-- name: children
create table if not exists banyan.log_children (table_name text primary key, children oid[] not null)

-- name: position
create table if not exists banyan.position (
  route text primary key,
  position text not null,
  applied_at timestamptz not null)

-- name: rights_1
revoke all on banyan.log_capture, banyan.log_children, banyan.position from public

-- name: rights_2
grant usage on schema banyan to banyan_reader

-- name: rights_3
grant select, update (mark, previous_mark) on banyan.log_capture to banyan_reader

-- name: rights_children
grant select on banyan.log_children to banyan_reader

-- name: rights_4
alter role banyan_reader with replication

-- name: capture_row
insert into banyan.log_capture (slot) values (%(slot)s) on conflict (one) do update
set id = gen_random_uuid(), slot = excluded.slot, mark = '', previous_mark = '', installed_at = clock_timestamp()

-- name: create_slot
select pg_catalog.pg_create_logical_replication_slot(%(slot)s, 'pgoutput')

-- name: drop_slot
select pg_catalog.pg_drop_replication_slot(slot_name) from pg_catalog.pg_replication_slots where slot_name = %(slot)s

-- name: drop_capture
drop table if exists banyan.log_capture, banyan.log_children

-- name: wait_for_slot
set statement_timeout = '60s'

-- name: wait_without_end
reset statement_timeout

-- name: server
select pg_catalog.current_setting('server_version_num')::int, pg_catalog.current_setting('wal_level'),
       pg_catalog.current_setting('max_slot_wal_keep_size'), pg_catalog.pg_is_in_recovery(),
       pg_catalog.current_setting('max_replication_slots')::int,
       (select count(*)::int from pg_catalog.pg_replication_slots)

-- name: is_installed
select pg_catalog.to_regclass('banyan.log_capture') is not null

-- name: has_children_table
select pg_catalog.to_regclass('banyan.log_children') is not null

-- name: known_children
select children from banyan.log_children where table_name = %(table)s

-- name: present_children
with recursive below as (
  select i.inhrelid as oid
  from pg_catalog.pg_inherits i
  join pg_catalog.pg_class p on p.oid = i.inhparent
  join pg_catalog.pg_namespace n on n.oid = p.relnamespace
  where n.nspname = %(schema)s and p.relname = %(table)s
  union select i.inhrelid from below b join pg_catalog.pg_inherits i on i.inhparent = b.oid)
select array(select oid from below order by oid)

-- name: published
select schemaname, tablename, attnames::text[]
from pg_catalog.pg_publication_tables where pubname = %(slot)s order by schemaname, tablename

-- name: publication
select pubinsert and pubupdate and pubdelete and pubtruncate from pg_catalog.pg_publication where pubname = %(slot)s

-- name: identities
select c.relname, c.relreplident::text,
       (select array_agg(a.attname::text) from pg_catalog.pg_index i
        join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum = any (i.indkey)
        where i.indrelid = c.oid and case c.relreplident when 'd' then i.indisprimary else i.indisreplident end)
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = %(schema)s and c.relname = any (%(tables)s)

-- name: slot
select active, coalesce(wal_status, 'lost'), plugin::text,
       (confirmed_flush_lsn - '0/0'::pg_catalog.pg_lsn)::bigint
from pg_catalog.pg_replication_slots where slot_name = %(slot)s and database = pg_catalog.current_database()

-- name: capture_state
select id::text, mark, previous_mark from banyan.log_capture

-- name: head
select pg_catalog.pg_current_snapshot()::text,
       (select oid::text from pg_catalog.pg_database where datname = pg_catalog.current_database()),
       case when pg_catalog.pg_is_in_recovery() then ''
            else substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8) end,
       pg_catalog.to_regclass('banyan.log_capture') is not null,
       pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'execute'),
       case when pg_catalog.pg_is_in_recovery() then 0
            else (pg_catalog.pg_current_wal_insert_lsn() - '0/0'::pg_catalog.pg_lsn)::bigint end,
       pg_catalog.current_setting('wal_block_size')::bigint,
       pg_catalog.pg_size_bytes(pg_catalog.current_setting('wal_segment_size'))

-- name: head_known
select pg_catalog.pg_current_snapshot()::text,
       case when pg_catalog.pg_is_in_recovery() then ''
            else substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8) end,
       case when pg_catalog.pg_is_in_recovery() then 0
            else (pg_catalog.pg_current_wal_insert_lsn() - '0/0'::pg_catalog.pg_lsn)::bigint end,
       c.id::text
from (select) one left join banyan.log_capture c on true

-- name: leave_mark
update banyan.log_capture set mark = %(mark)s, previous_mark = %(previous)s

-- name: key_columns
select a.attname::text
from pg_catalog.pg_index i
join pg_catalog.pg_class c on c.oid = i.indrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
cross join lateral unnest(i.indkey) with ordinality as k (attnum, place)
join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum
where n.nspname = %(schema)s and c.relname = %(table)s and i.indisprimary
order by k.place
