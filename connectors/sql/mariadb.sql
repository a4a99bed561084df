-- Small statements of the MariaDB connector. Each is found by its name; values are bound by the driver.

-- name: tables
select table_name from information_schema.tables
where table_schema = %(schema)s and table_type = 'BASE TABLE' order by table_name

-- name: columns
select c.column_name, c.data_type, c.column_type, coalesce(c.character_set_name, ''), coalesce(c.datetime_precision, 0),
       coalesce(c.numeric_precision, 0), coalesce(c.numeric_scale, 0), c.is_nullable, t.engine
from information_schema.columns c
join information_schema.tables t on t.table_schema = c.table_schema and t.table_name = c.table_name
where c.table_schema = %(schema)s and c.table_name = %(table)s order by c.ordinal_position

-- name: unique_indexes
select index_name, column_name, nullable = '' and sub_part is null
from information_schema.statistics
where table_schema = %(schema)s and table_name = %(table)s and non_unique = 0
order by index_name <> 'PRIMARY', index_name, seq_in_index

-- name: estimated_rows
select coalesce(table_rows, 0) from information_schema.tables
where table_schema = %(schema)s and table_name = %(table)s

-- name: server_load
select greatest(0,
         (select cast(variable_value as signed) from information_schema.global_status
          where variable_name = 'THREADS_RUNNING')
         - (select count(*) from information_schema.processlist
            where user like 'banyan\_%' and command not in ('Sleep', 'Daemon'))),
       (select cast(variable_value as signed) from information_schema.global_status
        where variable_name = 'INNODB_ROW_LOCK_CURRENT_WAITS')
       + (select count(*) from information_schema.processlist
          where user not like 'banyan\_%' and state like 'Waiting for %lock')

-- name: foreign_keys
call {home}.foreign_keys()

-- name: prepared
xa recover

-- name: is_installed
select count(*) from information_schema.tables
where table_schema = %(home)s and table_name = %(table)s

-- name: log_settings
select @@log_bin, @@global.binlog_format, @@global.binlog_row_image, @@global.log_bin_compress, @@server_id

-- name: fed
select coalesce(max(variable_value), 0) > 0, @@global.log_slave_updates, @@global.slave_run_triggers_for_rbr <> 'NO'
from information_schema.global_status where variable_name = 'SLAVES_RUNNING'

-- name: log_rights
select count(*) from information_schema.user_privileges
where privilege_type in ('REPLICATION SLAVE', 'REPLICATION CLIENT', 'BINLOG MONITOR', 'SUPER')

-- name: log_place
show status where variable_name in ('Binlog_snapshot_file', 'Binlog_snapshot_position')

-- name: gtid_at
select binlog_gtid_pos(%(file)s, %(position)s)

-- name: gtid_of_the_end
select @@global.gtid_binlog_pos

-- name: log_end
show master status

-- name: log_files
show binary logs

-- name: server
select @@server_id

-- name: installed_incarnation
select id from {home}.incarnation

-- name: inspect_triggers
call {home}.inspect_triggers()

-- name: stamp
call {home}.stamp()

-- name: last_batch
select batch, mark from {home}.batch order by batch desc limit 1

-- name: batch_mark
select mark from {home}.batch where batch = %(batch)s

-- name: pruned
select coalesce(max(batch), 0) from {home}.pruned

-- name: changes
select table_name, entry_key, op, origin from {home}.journal
where batch > %(since)s and batch <= %(until)s order by seq

-- name: prune
call {home}.prune(%(before)s)

-- name: prune_log
call {home}.prune_old(%(hours)s)

-- name: admit_reverse
call {home}.admit_reverse(%(closure)s, %(token)s, %(nonce)s, %(rehearsal)s)

-- name: dismiss
call {home}.dismiss()

-- name: set_position
insert into {home}.position (route, position, applied_at) values (%(route)s, %(position)s, {home}.clock())
on duplicate key update position = values(position), applied_at = values(applied_at)

-- name: hold_position
select position from {home}.position where route = %(route)s for update

-- name: reverse_position
select position from {home}.position where route = %(route)s

-- name: reserve
call {home}.reserve_keys(%(table)s, %(count)s)

-- name: effect
call {home}.effect(%(what)s, %(closure)s, %(token)s, %(seconds)s, %(nonce_old)s, %(nonce_new)s)

-- name: read_fence
select token, mode, case mode when 'CLOSED'
       then cast(timestampdiff(microsecond, {home}.clock(), lease_until) as signed) end, nonce
from {home}.fence where closure = %(closure)s

-- name: wait_in_flight
call {home}.wait_in_flight(%(closure)s)

-- name: lock_fence
select mode, nonce from {home}.fence where closure = %(closure)s for update

-- name: fenced_tables
select distinct table_name from {home}.installed where kind = 'FENCE' and closure = %(closure)s order by table_name

-- name: fence_triggers
select trigger_name from {home}.installed where kind = 'FENCE' and closure = %(closure)s

-- name: fence_strangers
select distinct table_name, closure from {home}.installed
where kind = 'FENCE' and closure <> %(closure)s and table_name in %(tables)s and is_member order by table_name

-- name: capture_triggers
select trigger_name, table_name from {home}.installed where kind = 'CAPTURE'

-- name: captured_tables
select table_name from {home}.captured order by table_name

-- name: forget_trigger
delete from {home}.installed where trigger_name = %(trigger)s

-- name: forget_captured
delete from {home}.captured where table_name = %(table)s

-- name: keep_code_key
replace into {home}.fence_code (closure, code_key) values (%(closure)s, %(key)s)

-- name: forget_code
delete from {home}.fence_code where closure = %(closure)s

-- name: open_by_code
call {home}.open_by_code(%(closure)s, %(code)s)

-- name: writers
call {home}.writers()

-- name: forget_fence
delete from {home}.fence where closure = %(closure)s

-- name: loose_rights
call {home}.loose_rights()

-- name: routines
call {home}.inspect_routines()

-- name: clock_of_a_frozen_session
select abs(timestampdiff(second, {home}.clock(), '1970-01-01 00:00:01')) > 86400

-- name: counters
select t.table_name, t.table_type = 'SEQUENCE', t.auto_increment is not null
from information_schema.tables t where t.table_schema = %(schema)s and t.table_name in %(names)s

-- name: sequences
select t.table_name from information_schema.tables t
where t.table_schema = %(schema)s and t.table_type = 'SEQUENCE' and t.table_name in %(names)s order by t.table_name

-- name: clock
select cast(unix_timestamp(sysdate(6)) as char)

-- name: own_rights
select distinct privilege_type from information_schema.user_privileges
union
select 'GRANT OPTION' from information_schema.user_privileges where is_grantable = 'YES'

-- name: own_writes
select distinct concat(table_schema, '.*') from information_schema.schema_privileges
where %(schema)s like table_schema and table_schema <> %(home)s
  and privilege_type in ('INSERT', 'UPDATE', 'DELETE', 'DROP', 'ALTER', 'TRIGGER', 'CREATE')
union
select distinct table_name from information_schema.table_privileges
where table_schema = %(schema)s and privilege_type in ('INSERT', 'UPDATE', 'DELETE', 'DROP', 'ALTER', 'TRIGGER')
union
select '*.*' from information_schema.user_privileges
where privilege_type in ('INSERT', 'UPDATE', 'DELETE', 'DROP', 'ALTER', 'TRIGGER')
