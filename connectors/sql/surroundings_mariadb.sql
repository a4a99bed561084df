-- What stands around the tables of a legacy MariaDB. Names, counts and sizes; no query text, no value.

-- name: sessions
select user, '', substring_index(host, ':', 1), count(*)
from information_schema.processlist
where user not like 'banyan%%' and user <> 'system user' and id <> connection_id() and (db = %(schema)s or db is null)
group by 1, 2, 3 order by 4 desc, 1, 3

-- name: writers
select distinct t.table_name, g.grantee
from information_schema.tables t
join (select grantee, table_schema as place, null as name, privilege_type from information_schema.schema_privileges
      union all select grantee, null, null, privilege_type from information_schema.user_privileges
      union all select grantee, table_schema, table_name, privilege_type from information_schema.table_privileges) g
  on (g.place is null or %(schema)s like g.place) and (g.name is null or g.name = t.table_name)
where t.table_schema = %(schema)s and t.table_type = 'BASE TABLE' and g.grantee not like '''banyan%%'
  and g.privilege_type in ('INSERT', 'UPDATE', 'DELETE', 'DROP') order by 1, 2

-- name: triggers
select event_object_table, trigger_name from information_schema.triggers
where trigger_schema = %(schema)s and trigger_name not like '%%banyan%%' order by 1, 2

-- name: views
select t.table_name, v.table_name
from information_schema.views v join information_schema.tables t
  on t.table_schema = %(schema)s and t.table_type = 'BASE TABLE'
 and locate(concat('`', t.table_name, '`'), v.view_definition) > 0
where v.table_schema = %(schema)s order by 1, 2

-- name: routines
select t.table_name, r.routine_name
from information_schema.routines r join information_schema.tables t
  on t.table_schema = %(schema)s and t.table_type = 'BASE TABLE'
 and regexp_instr(r.routine_definition, concat('(?i)\\b', t.table_name, '\\b')) > 0
where r.routine_schema = %(schema)s order by 1, 2

-- name: references
select table_name, column_name, referenced_table_name, referenced_column_name
from information_schema.key_column_usage
where table_schema = %(schema)s and referenced_table_schema = %(schema)s and ordinal_position = 1 order by 1, 2

-- name: activity
select table_name, coalesce(data_length, 0) + coalesce(index_length, 0), null, null, null
from information_schema.tables where table_schema = %(schema)s and table_type = 'BASE TABLE' order by 1

-- name: jobs
select event_name, concat(coalesce(interval_value, ''), ' ', coalesce(interval_field, event_type), ' ', status)
from information_schema.events where event_schema = %(schema)s order by 1

-- name: sees_others
select count(*) > 0 from information_schema.user_privileges
where privilege_type = 'PROCESS' and grantee = concat('''', replace(current_user(), '@', '''@'''), '''')

-- name: rights
select lower(privilege_type) from information_schema.user_privileges
where grantee = concat('''', replace(current_user(), '@', '''@'''), '''')
union select lower(privilege_type) from information_schema.schema_privileges
where grantee = concat('''', replace(current_user(), '@', '''@'''), '''') and %(schema)s like table_schema
union select 'accounts' from information_schema.schema_privileges
where grantee = concat('''', replace(current_user(), '@', '''@'''), '''') and table_schema = 'mysql'
  and privilege_type = 'SELECT'
union select 'accounts' from information_schema.user_privileges
where grantee = concat('''', replace(current_user(), '@', '''@'''), '''') and privilege_type = 'SELECT'

-- name: encoding
select default_character_set_name from information_schema.schemata where schema_name = %(schema)s
