-- Small statements of the PostgreSQL connector. Each is found by its name; values are bound by the driver.

-- name: system_identifier
select system_identifier::text from pg_catalog.pg_control_system()

-- name: snapshot
select pg_catalog.pg_current_snapshot()::text,
       (select oid::text from pg_catalog.pg_database where datname = pg_catalog.current_database()),
       case when pg_catalog.pg_is_in_recovery()
            then (select timeline_id::text from pg_catalog.pg_control_checkpoint())
            else substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8) end,
       pg_catalog.to_regclass('banyan.incarnation') is not null,
       pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'execute')

-- name: head
select pg_catalog.pg_current_snapshot()::text,
       (select oid::text from pg_catalog.pg_database where datname = pg_catalog.current_database()),
       case when pg_catalog.pg_is_in_recovery()
            then (select timeline_id::text from pg_catalog.pg_control_checkpoint())
            else substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8) end,
       (select id::text from banyan.incarnation),
       (select system_identifier::text from pg_catalog.pg_control_system())

-- name: installed_incarnation
select id::text from banyan.incarnation

-- name: key_columns
select a.attname
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_constraint k on k.conrelid = c.oid and k.contype = 'p'
cross join unnest(k.conkey) with ordinality as u(number, place)
join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum = u.number
where n.nspname = %(schema)s and c.relname = %(table)s
order by u.place

-- name: column_casts
select a.attname,
       pg_catalog.format_type(a.atttypid, -1),
       pg_catalog.format_type(a.atttypid, a.atttypmod),
       a.attcollation <> 0 and l.collname not in ('C', 'POSIX', 'ucs_basic') and not (
         l.collname = 'default' and d.datcollate in ('C', 'POSIX', 'C.UTF-8', 'C.utf8')
         and coalesce(pg_catalog.to_jsonb(d) ->> 'datlocprovider', 'c') <> 'i')
from pg_catalog.pg_attribute a
join pg_catalog.pg_class c on c.oid = a.attrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_database d on d.datname = pg_catalog.current_database()
left join pg_catalog.pg_collation l on l.oid = a.attcollation
where n.nspname = %(schema)s and c.relname = %(table)s and a.attnum > 0 and not a.attisdropped
order by a.attnum

-- name: children
with recursive below as (
  select i.inhrelid as oid
  from pg_catalog.pg_inherits i
  join pg_catalog.pg_class p on p.oid = i.inhparent
  join pg_catalog.pg_namespace n on n.oid = p.relnamespace
  where n.nspname = %(schema)s and p.relname = %(table)s
  union select i.inhrelid from below b join pg_catalog.pg_inherits i on i.inhparent = b.oid)
select n.nspname, c.relname
from below b
join pg_catalog.pg_class c on c.oid = b.oid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'f')
order by n.nspname, c.relname

-- name: is_partitioned
select c.relkind = 'p'
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = %(schema)s and c.relname = %(table)s

-- name: hidden_rows
select c.relname
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = %(schema)s and c.relname = any(%(tables)s) and c.relrowsecurity
order by c.relname

-- name: table_guards
select exists (select from pg_catalog.pg_trigger t where t.tgrelid = c.oid and t.tgname = 'zz_banyan_update'
               and t.tgenabled = 'A'),
       exists (select from pg_catalog.pg_trigger t where t.tgrelid = c.oid and t.tgname = 'aa_banyan'
               and t.tgenabled = 'A')
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = %(schema)s and c.relname = %(table)s

-- name: capture_defects
with recursive below as (
  select c.table_name, i.inhrelid as oid
  from banyan.captured c join pg_catalog.pg_inherits i on i.inhparent = c.table_oid
  union select b.table_name, i.inhrelid from below b join pg_catalog.pg_inherits i on i.inhparent = b.oid)
select c.table_name
from banyan.captured c
left join pg_catalog.pg_proc p on p.oid = c.function_oid
where pg_catalog.to_regclass(quote_ident(c.schema_name) || '.' || quote_ident(c.table_name))::oid is distinct from c.table_oid
   or p.oid is null
   or pg_catalog.md5(p.prosrc) <> c.digest
   or (select count(*) from pg_catalog.pg_trigger t
       where t.tgrelid = c.table_oid and t.tgenabled = 'A' and t.tgfoid = c.function_oid
         and t.tgname in ('zz_banyan_insert', 'zz_banyan_update', 'zz_banyan_delete', 'zz_banyan_truncate')) <> 4
   -- a child that came or went took rows with it that no statement told; the column is of a later day than the table
   or array(select b.oid from below b where b.table_name = c.table_name order by b.oid)
      <> array(select k::oid from jsonb_array_elements_text(coalesce(to_jsonb(c) -> 'children', '[]')) k order by k::oid)
   -- what a subscription brings fires no trigger of a statement
   or exists (select from pg_catalog.pg_subscription_rel r where r.srrelid = c.table_oid
              or r.srrelid in (select b.oid from below b where b.table_name = c.table_name))
   or exists (select from below b where b.table_name = c.table_name and (
        select count(*) from pg_catalog.pg_trigger t
        where t.tgrelid = b.oid and t.tgenabled = 'A' and t.tgfoid = c.function_oid
          and t.tgname in ('zz_banyan_insert', 'zz_banyan_update', 'zz_banyan_delete', 'zz_banyan_truncate')) <> 4)
order by c.table_name

-- name: captured_and_fed
select c.table_name from banyan.captured c join pg_catalog.pg_subscription_rel r on r.srrelid = c.table_oid
order by c.table_name

-- name: position_faults
select pg_catalog.pg_snapshot_xmax(%(since)s::pg_catalog.pg_snapshot)
         > pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot()),
       exists (select from banyan.pruned p
               where pg_catalog.pg_snapshot_xmax(p.snapshot)
                       > pg_catalog.pg_snapshot_xmax(%(since)s::pg_catalog.pg_snapshot)
                  or exists (select from pg_catalog.pg_snapshot_xip(%(since)s::pg_catalog.pg_snapshot) x
                             where pg_catalog.pg_visible_in_snapshot(x, p.snapshot)))

-- name: truncated_unseen
select distinct table_name from banyan.journal
where op = 'T'
  and xid >= pg_catalog.pg_snapshot_xmin(%(since)s::pg_catalog.pg_snapshot)
  and xid < pg_catalog.pg_snapshot_xmax(%(until)s::pg_catalog.pg_snapshot)
  and not pg_catalog.pg_visible_in_snapshot(xid, %(since)s::pg_catalog.pg_snapshot)
  and pg_catalog.pg_visible_in_snapshot(xid, %(until)s::pg_catalog.pg_snapshot)
order by table_name

-- name: changes
select table_name, key, (array_agg(op order by seq desc))[1], bool_or(origin = 'PERSON')
from banyan.journal
where op <> 'T'
  and xid >= pg_catalog.pg_snapshot_xmin(%(since)s::pg_catalog.pg_snapshot)
  and xid < pg_catalog.pg_snapshot_xmax(%(until)s::pg_catalog.pg_snapshot)
  and not pg_catalog.pg_visible_in_snapshot(xid, %(since)s::pg_catalog.pg_snapshot)
  and pg_catalog.pg_visible_in_snapshot(xid, %(until)s::pg_catalog.pg_snapshot)
group by table_name, key
order by max(seq)

-- name: prune
select banyan.prune(%(before)s::pg_catalog.pg_snapshot)

-- name: owned_sequence
select s.oid::pg_catalog.regclass::text, s.relkind = 'S', pg_catalog.quote_ident(n.nspname) || '.' || (
         select pg_catalog.quote_ident(o.relname) from pg_catalog.pg_depend d
         join pg_catalog.pg_class o on o.oid = d.objid and o.relkind = 'S'
         where d.refobjid = s.oid and d.deptype in ('a', 'i') and d.classid = 'pg_catalog.pg_class'::regclass
         order by o.oid limit 1)
from pg_catalog.pg_class s
join pg_catalog.pg_namespace n on n.oid = s.relnamespace
where n.nspname = %(schema)s and s.relname = %(counter)s

-- name: next_keys
select nextval(%(sequence)s::pg_catalog.regclass)::text from generate_series(1, %(count)s)

-- name: admit_reverse
select set_config('lock_timeout', %(milliseconds)s, true);
select banyan.admit_reverse(%(closure)s, %(token)s, %(nonce)s, %(rehearsal)s)

-- name: set_position
insert into banyan.position (route, position, applied_at) values (%(route)s, %(position)s, clock_timestamp())
on conflict (route) do update set position = excluded.position, applied_at = excluded.applied_at

-- name: reverse_position
select position from banyan.position where route = %(route)s

-- name: effect
select accepted, reason, lease_seconds
from banyan.effect(%(what)s, %(closure)s, %(token)s, %(seconds)s, %(nonce_old)s, %(nonce_new)s)

-- name: read_fence
select token, mode, case mode when 'CLOSED' then extract(epoch from lease_until - clock_timestamp())::float8 end, nonce
from banyan.fence where closure = %(closure)s

-- name: wait_in_flight
select set_config('lock_timeout', %(milliseconds)s, true);
select banyan.wait_in_flight(%(closure)s)

-- name: plain_column
select a.attname
from pg_catalog.pg_attribute a
join pg_catalog.pg_class c on c.oid = a.attrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = %(schema)s and c.relname = %(table)s and a.attnum > 0 and not a.attisdropped
  and a.attgenerated = '' and a.attidentity <> 'a'
order by a.attnum limit 1

-- name: fence_on_table
with recursive below as (
  select i.inhparent as root, i.inhrelid as oid from pg_catalog.pg_inherits i
  union select b.root, i.inhrelid from below b join pg_catalog.pg_inherits i on i.inhparent = b.oid)
select c.oid = f.table_oid, t.oid is not null, coalesce(t.tgenabled = 'A', false),
       coalesce(t.tgfoid = pg_catalog.to_regprocedure('banyan.check_fence()'), false)
         and t.tgtype = %(trigger_type)s and pg_catalog.encode(t.tgargs, 'escape') = %(closure)s || '\000',
       exists (select from below b join pg_catalog.pg_class k on k.oid = b.oid and k.relkind in ('r', 'p', 'f')
               where b.root = c.oid and not exists (
         select from pg_catalog.pg_trigger g where g.tgrelid = b.oid and g.tgname = 'aa_banyan' and g.tgenabled = 'A'
           and g.tgfoid = pg_catalog.to_regprocedure('banyan.check_fence()')
           and pg_catalog.encode(g.tgargs, 'escape') = %(closure)s || '\000'))
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
left join banyan.fenced f on f.closure = %(closure)s and f.table_name = c.relname
left join pg_catalog.pg_trigger t on t.tgrelid = c.oid and t.tgname = 'aa_banyan'
where n.nspname = %(schema)s and c.relname = %(table)s

-- name: fence_subscribed
select c.relname, s.subname
from pg_catalog.pg_subscription_rel r
join pg_catalog.pg_subscription s on s.oid = r.srsubid
join pg_catalog.pg_class c on c.oid = r.srrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = %(schema)s and c.relname = any(%(tables)s)
order by 1, 2

-- name: fence_masters
-- whoever administers the server from the start (role 10) can do anything anyway
select r.rolname, '', 'superuser'
from pg_catalog.pg_roles r where r.rolsuper and r.rolcanlogin and r.oid <> 10
union all
select r.rolname, c.relname, 'owner'
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_roles r on r.rolcanlogin and not r.rolsuper and pg_catalog.pg_has_role(r.oid, c.relowner, 'MEMBER')
where n.nspname = %(schema)s and c.relname = any(%(tables)s)
order by 1, 2

-- name: fence_functions
select p.proname, p.prosrc, p.prosecdef, p.proconfig
from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
where n.nspname = 'banyan' and p.proname in ('check_fence', 'effect', 'admit_reverse', 'wait_in_flight', 'open_by_code')
order by p.proname

-- name: keep_code_key
insert into banyan.fence_code (closure, key) values (%(closure)s, %(key)s)
on conflict (closure) do update set key = excluded.key

-- name: fenced_tables
select schema_name, table_name from banyan.fenced where closure = %(closure)s order by table_name

-- name: capture_table
select to_regclass('banyan.captured') is not null

-- name: captured_tables
select table_name from banyan.captured order by table_name

-- name: captured_schemas
select distinct schema_name from banyan.captured order by schema_name

-- name: drop_journal
drop table banyan.journal, banyan.captured, banyan.pruned, banyan.incarnation

-- name: drop_prune
drop function banyan.prune(pg_snapshot)

-- name: raw_settings
select set_config(key, value, true) from pg_catalog.json_each_text(%(settings)s)

-- name: fence_strangers
select table_name, closure from banyan.fenced
where schema_name = %(schema)s and table_name = any(%(tables)s) and closure <> %(closure)s
order by table_name

-- name: lock_fence
select mode, nonce from banyan.fence where closure = %(closure)s for update

-- name: forget_fenced
delete from banyan.fenced where closure = %(closure)s

-- name: forget_code
delete from banyan.fence_code where closure = %(closure)s

-- name: forget_fence
delete from banyan.fence where closure = %(closure)s

-- name: table_pages
select (pg_catalog.pg_relation_size(c.oid) / pg_catalog.current_setting('block_size')::bigint)::bigint,
       case when c.reltuples > 0 and c.relpages > 0 then (c.reltuples / c.relpages)::float8
            else (pg_catalog.current_setting('block_size')::bigint / 64)::float8 end
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = %(schema)s and c.relname = %(table)s

-- name: server_load
select case when coalesce(bool_and(a.state is not null or a.query <> '<insufficient privilege>'), true)
            then (count(*) filter (where a.state = 'active'))::int end,
       (select count(distinct l.pid)::int from pg_catalog.pg_locks l where not l.granted)
from pg_catalog.pg_stat_activity a
where a.datname = pg_catalog.current_database() and a.application_name <> 'banyan'

-- name: oldest_transaction
with before as (select clock_timestamp() as at)
select least(min(a.xact_start), (select at from before))::text,
       -- a session that is just being opened has no state either, and nothing to hide
       count(*) filter (where a.state is null and a.query = '<insufficient privilege>'),
       (select count(*) from pg_catalog.pg_prepared_xacts p where p.database = pg_catalog.current_database())
from pg_catalog.pg_stat_activity a
where a.datname = pg_catalog.current_database()
