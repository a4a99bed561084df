-- What banyan needs once beside a legacy database of MariaDB, in a database of its own. Its owner cannot log in.
-- name: owner
create user if not exists banyan_owner@localhost account lock

-- name: home
create database if not exists {home} character set utf8mb4 collate utf8mb4_bin

-- name: owner_home
grant all on {home}.* to banyan_owner@localhost

-- name: owner_identity
grant process on *.* to banyan_owner@localhost

-- name: owner_schema
grant select, trigger, alter on {schema}.* to banyan_owner@localhost

-- name: owner_rights_1
grant select on mysql.db to banyan_owner@localhost

-- name: owner_rights_2
grant select on mysql.tables_priv to banyan_owner@localhost

-- name: owner_rights_3
grant select (user, host, insert_priv, update_priv, delete_priv, drop_priv, alter_priv, trigger_priv, super_priv)
  on mysql.user to banyan_owner@localhost

-- name: incarnation
create table if not exists {home}.incarnation (
  one tinyint primary key default 1 check (one = 1),
  id char(36) not null,
  installed_at datetime(6) not null) engine = innodb

-- name: incarnation_row
insert ignore into {home}.incarnation (one, id, installed_at) values (1, uuid(), utc_timestamp(6))

-- name: installed
create table if not exists {home}.installed (
  trigger_name varchar(64) primary key,
  table_name varchar(64) not null,
  kind enum('CAPTURE', 'FENCE') not null,
  closure varchar(120) not null,
  is_member boolean not null default true,
  table_identity varchar(40) not null,
  digest char(32) not null) engine = innodb

-- name: admitted
create table if not exists {home}.admitted (
  connection_id bigint unsigned primary key,
  closure varchar(120) not null,
  token bigint not null,
  nonce char(36) not null,
  is_rehearsal boolean not null) engine = innodb

-- name: position
create table if not exists {home}.position (
  route varchar(200) primary key,
  position text not null,
  applied_at datetime(6) not null) engine = innodb

-- name: clock
create or replace definer = banyan_owner@localhost function {home}.clock() returns datetime(6)
not deterministic no sql sql security definer
begin
  declare t datetime(6);
  declare zone varchar(64) default @@session.time_zone;
  -- a client sets its own time zone: the clock of a lease is read in one nobody can move
  set session time_zone = '+00:00';
  set t = sysdate(6);
  set session time_zone = zone;
  return t;
end

-- name: identity
create or replace definer = banyan_owner@localhost function {home}.identity(wanted varchar(64)) returns varchar(40)
not deterministic reads sql data sql security definer
begin
  declare found varchar(40) default null;
  declare zone varchar(64) default @@session.time_zone;
  -- the engine knows a table by the names of its files
  declare called varbinary(2000) default concat(cast(convert({schema_text} using filename) as binary), '/',
                                                cast(convert(wanted using filename) as binary));
  -- the number of an InnoDB table changes when it is truncated, rebuilt or made anew; each partition has its own
  select if(count(*) = 0, null, concat('id ', if(count(*) = 1 and max(cast(name as binary) = called), max(table_id),
            md5(concat_ws(' ', count(*), sum(table_id), bit_xor(table_id * table_id), max(table_id)))))) into found
    from information_schema.innodb_sys_tables
   where cast(name as binary) = called
      or left(cast(name as binary), length(called) + 3) in (concat(called, '#P#'), concat(called, '#p#'));
  if found is null then
    -- the time of a table is told in the zone of the session, and who asks has another one than who wrote it down
    set session time_zone = '+00:00';
    select concat('at ', max(create_time)) into found from information_schema.tables
     where table_schema = {schema_text} and table_name = wanted;
    set session time_zone = zone;
  end if;
  return coalesce(found, '');
end

-- name: inspect_triggers
create or replace definer = banyan_owner@localhost procedure {home}.inspect_triggers()
reads sql data sql security definer
begin
  -- while keys are reserved a table without transactions is made anew, and known by its new time a moment later
  declare waited int default get_lock({schema_text}, 2);
  select i.trigger_name, i.table_name, cast(i.kind as char), i.closure,
         i.table_identity = {home}.identity(i.table_name),
         t.trigger_name is not null and t.event_object_table = i.table_name,
         coalesce(md5(t.action_statement) = i.digest and t.definer = 'banyan_owner@localhost', false)
  from {home}.installed i
  left join information_schema.triggers t
    on t.trigger_schema = {schema_text} and t.trigger_name = i.trigger_name
  order by i.table_name, i.trigger_name;
  if waited = 1 then do release_lock({schema_text}); end if;
end

-- name: foreign_keys
create or replace definer = banyan_owner@localhost procedure {home}.foreign_keys()
reads sql data sql security definer
begin
  select k.constraint_name, k.table_name, k.column_name, k.referenced_table_name, k.referenced_column_name,
         r.delete_rule, r.update_rule
  from information_schema.referential_constraints r
  join information_schema.key_column_usage k
    on k.constraint_schema = r.constraint_schema and k.constraint_name = r.constraint_name
   and k.table_name = r.table_name
  where r.constraint_schema = {schema_text} and k.referenced_table_schema = {schema_text}
  order by k.table_name, k.constraint_name, k.ordinal_position;
end

-- name: loose_rights
create or replace definer = banyan_owner@localhost procedure {home}.loose_rights()
reads sql data sql security definer
begin
  select concat(d.user, '@', d.host), '', concat_ws(', ', if(d.drop_priv = 'Y', 'DROP', null),
         if(d.alter_priv = 'Y', 'ALTER', null), if(d.trigger_priv = 'Y', 'TRIGGER', null))
  from mysql.db d
  where {schema_text} like d.db and 'Y' in (d.drop_priv, d.alter_priv, d.trigger_priv)
    and d.user not like 'banyan\_%'
  union all
  select concat(p.user, '@', p.host), p.table_name, cast(p.table_priv as char)
  from mysql.tables_priv p
  where p.db = {schema_text} and (find_in_set('Drop', p.table_priv) or find_in_set('Alter', p.table_priv)
    or find_in_set('Trigger', p.table_priv)) and p.user not like 'banyan\_%'
  union all
  -- rights on every database; who administers the server from the machine itself can do anything anyway
  select concat(u.user, '@', u.host), '', concat(concat_ws(', ', if(u.drop_priv = 'Y', 'DROP', null),
         if(u.alter_priv = 'Y', 'ALTER', null), if(u.trigger_priv = 'Y', 'TRIGGER', null)), ' everywhere')
  from mysql.user u
  where 'Y' in (u.drop_priv, u.alter_priv, u.trigger_priv) and u.user not like 'banyan\_%'
    and not (u.super_priv = 'Y' and u.host in ('localhost', '127.0.0.1', '::1', lower(@@hostname)))
    and u.user <> 'mariadb.sys'
  union all
  select '', t.table_name, t.engine from information_schema.tables t
  where t.table_schema = {schema_text} and t.table_type = 'BASE TABLE'
    and t.engine not in ('InnoDB', 'MyISAM', 'Aria');
end

-- name: rights_1
grant select on {home}.incarnation to {reader}

-- name: rights_2
grant select on {home}.installed to {reader}

-- name: rights_4
grant execute on procedure {home}.loose_rights to {reader}

-- name: rights_3
grant execute on procedure {home}.inspect_triggers to {reader}
