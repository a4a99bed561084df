-- Who else writes: accounts that hold a writing lock on a table now, and accounts that are connected and may write it.
-- Locks, accounts and application names of other sessions are visible to every account; their queries are not read.
-- name: writers
select a.usename::text, c.relname::text, coalesce(a.application_name, '')
from pg_catalog.pg_locks l
join pg_catalog.pg_class c on c.oid = l.relation
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_stat_activity a on a.pid = l.pid
where l.locktype = 'relation' and l.granted
  and l.database = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())
  and l.mode in ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
  and n.nspname = %(schema)s and c.relname = any(%(tables)s)
  and a.usename is not null and a.usename not like 'banyan\_%%'
union
select a.usename::text, c.relname::text, coalesce(a.application_name, '')
from pg_catalog.pg_stat_activity a
join pg_catalog.pg_roles r on r.oid = a.usesysid and not r.rolsuper
join pg_catalog.pg_class c on c.relname = any(%(tables)s)
join pg_catalog.pg_namespace n on n.oid = c.relnamespace and n.nspname = %(schema)s
where a.datname = pg_catalog.current_database() and a.usename not like 'banyan\_%%'
  and pg_catalog.has_table_privilege(a.usesysid, c.oid, 'INSERT, UPDATE, DELETE')
order by 1, 2, 3
