-- The journal of a legacy MariaDB: keys of changed rows, never a value of another column.
-- name: journal
create table if not exists {home}.journal (
  seq bigint unsigned auto_increment primary key,
  batch bigint null,
  table_name varchar(64) not null,
  op char(1) not null,
  entry_key text not null,
  origin enum('PERSON', 'ROUTE') not null,
  at timestamp(6) not null default current_timestamp(6),
  key journal_batch (batch)) engine = innodb

-- name: captured
create table if not exists {home}.captured (table_name varchar(64) primary key) engine = innodb

-- name: batch
create table if not exists {home}.batch (
  batch bigint primary key,
  mark char(36) not null,
  at datetime(6) not null) engine = innodb

-- name: first_batch
insert ignore into {home}.batch (batch, mark, at) values (0, uuid(), utc_timestamp(6))

-- name: counter
create table if not exists {home}.counter (one tinyint primary key, batch bigint not null) engine = innodb

-- name: first_count
insert ignore into {home}.counter (one, batch) values (1, 0)

-- name: pruned
create table if not exists {home}.pruned (one tinyint primary key, batch bigint not null) engine = innodb

-- name: stamp
create or replace definer = banyan_owner@localhost procedure {home}.stamp()
modifies sql data sql security definer
begin
  declare last_batch bigint;
  declare fresh bigint default 0;
  declare exit handler for sqlexception begin rollback; resignal; end;
  create temporary table if not exists {home}.fresh (seq bigint unsigned primary key) engine = memory;
  delete from {home}.fresh;
  set transaction isolation level read committed;
  start transaction;
  select batch into last_batch from {home}.counter where one = 1 for update;
  -- a consistent read: what others have not committed is not seen, not waited for, and gets a later batch
  insert into {home}.fresh select seq from {home}.journal where batch is null;
  select count(*) into fresh from {home}.fresh;
  if fresh > 0 then
    set last_batch = last_batch + 1;
    update {home}.journal j join {home}.fresh f on f.seq = j.seq set j.batch = last_batch;
    insert into {home}.batch (batch, mark, at) values (last_batch, uuid(), {home}.clock());
    update {home}.counter set batch = last_batch where one = 1;
  end if;
  commit;
  select b.batch, b.mark from {home}.batch b where b.batch = last_batch;
end

-- name: prune
create or replace definer = banyan_owner@localhost procedure {home}.prune(up_to bigint)
modifies sql data sql security definer
begin
  declare removed bigint;
  declare exit handler for sqlexception begin rollback; resignal; end;
  start transaction;
  insert into {home}.pruned (one, batch) values (1, up_to)
    on duplicate key update batch = greatest(batch, values(batch));
  delete from {home}.journal where batch <= up_to;
  set removed = row_count();
  delete from {home}.batch where batch < up_to;
  commit;
  select removed;
end

-- name: prune_old
create or replace definer = banyan_owner@localhost procedure {home}.prune_old(hours int)
modifies sql data sql security definer
begin
  delete from {home}.journal where at < now(6) - interval hours hour;
  select row_count();
end

-- name: rights_1
grant select on {home}.journal to {reader}

-- name: rights_2
grant select on {home}.captured to {reader}

-- name: rights_3
grant select on {home}.batch to {reader}

-- name: rights_4
grant select on {home}.pruned to {reader}

-- name: rights_5
grant execute on procedure {home}.stamp to {reader}

-- name: rights_6
grant execute on procedure {home}.prune to {reader}

-- name: rights_7
grant execute on procedure {home}.prune_old to {reader}
