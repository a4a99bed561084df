-- What stands around the tables of a legacy PostgreSQL. Names, counts and sizes; no query text, no value.

-- name: sessions
select usename::text, coalesce(application_name, ''), coalesce(host(client_addr), 'local'), count(*)
from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid() and usename is not null and usename not like 'banyan%%'
group by 1, 2, 3 order by 4 desc, 1, 2, 3

-- name: writers
select c.relname::text, r.rolname::text
from pg_class c join pg_namespace n on n.oid = c.relnamespace cross join pg_roles r
where n.nspname = %(schema)s and c.relkind in ('r', 'p') and r.rolcanlogin and not r.rolsuper
  and r.rolname not like 'banyan%%' and has_table_privilege(r.oid, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')
order by 1, 2

-- name: triggers
select c.relname::text, t.tgname::text
from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
where n.nspname = %(schema)s and not t.tgisinternal and t.tgname !~ '^(zz|aa)_banyan' order by 1, 2

-- name: views
select distinct s.relname::text, v.relname::text
from pg_rewrite w join pg_class v on v.oid = w.ev_class join pg_depend d on d.objid = w.oid
join pg_class s on s.oid = d.refobjid join pg_namespace n on n.oid = s.relnamespace
where d.classid = 'pg_rewrite'::regclass and d.refclassid = 'pg_class'::regclass and s.oid <> v.oid
  and n.nspname = %(schema)s and s.relkind in ('r', 'p') and v.relkind in ('v', 'm') order by 1, 2

-- name: routines
select c.relname::text, p.proname::text
from pg_proc p join pg_namespace n on n.oid = p.pronamespace
cross join pg_class c join pg_namespace m on m.oid = c.relnamespace
where n.nspname not in ('pg_catalog', 'information_schema', 'banyan') and m.nspname = %(schema)s
  and c.relkind in ('r', 'p') and p.prosrc ~* ('\m' || regexp_replace(c.relname, '([.*+?()\[\]{}|^$\\])', '\\\1', 'g') || '\M')
order by 1, 2

-- name: references
select c.relname::text, a.attname::text, p.relname::text, b.attname::text
from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_class p on p.oid = k.confrelid
join pg_namespace n on n.oid = c.relnamespace
join pg_attribute a on a.attrelid = c.oid and a.attnum = k.conkey[1]
join pg_attribute b on b.attrelid = p.oid and b.attnum = k.confkey[1]
where k.contype = 'f' and n.nspname = %(schema)s and cardinality(k.conkey) = 1 order by 1, 2

-- name: activity
select s.relname::text, pg_total_relation_size(s.relid), s.n_tup_ins, s.n_tup_upd, s.n_tup_del
from pg_stat_user_tables s where s.schemaname = %(schema)s order by 1

-- name: counted_since
select coalesce(stats_reset, pg_postmaster_start_time()) from pg_stat_database where datname = current_database()

-- name: has_jobs
select to_regclass('cron.job') is not null and has_table_privilege(to_regclass('cron.job'), 'SELECT')

-- name: jobs
select coalesce(jobname, jobid::text), schedule from cron.job order by 1

-- name: sees_others
select pg_has_role('pg_read_all_stats', 'usage') or (select rolsuper from pg_roles where rolname = current_user)

-- name: encoding
select pg_encoding_to_char(encoding) from pg_database where datname = current_database()
