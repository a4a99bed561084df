-- The journal of a legacy MariaDB: keys of changed rows, never a value of another column. `lasting` holds those of
-- tables without transactions: no rollback takes them back, and stamp tells each of them twice.
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

-- name: lasting
create table if not exists {home}.lasting (
  seq bigint unsigned auto_increment primary key,
  table_name varchar(64) not null,
  op char(1) not null,
  entry_key text not null,
  origin enum('PERSON', 'ROUTE') not null,
  told_at datetime(6) null) engine = aria transactional = 1

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
  declare begun_at datetime(6);
  declare exit handler for sqlexception begin rollback; resignal; end;
  create temporary table if not exists {home}.fresh (seq bigint unsigned primary key) engine = memory;
  delete from {home}.fresh;
  create temporary table if not exists {home}.lasting_told (
    seq bigint unsigned primary key, is_last boolean not null) engine = memory;
  delete from {home}.lasting_told;
  set transaction isolation level read committed;
  start transaction;
  select batch into last_batch from {home}.counter where one = 1 for update;
  set begun_at = {home}.clock();
  insert into {home}.lasting_told
  select seq, told_at is not null or find_in_set(table_name, ifnull(@banyan_at_rest, '')) > 0 from {home}.lasting
   where told_at is null or told_at <= begun_at - interval 1 second
      or find_in_set(table_name, ifnull(@banyan_at_rest, '')) > 0;
  insert into {home}.journal (table_name, op, entry_key, origin)
  select l.table_name, l.op, l.entry_key, l.origin
    from {home}.lasting l join {home}.lasting_told n on n.seq = l.seq order by l.seq;
  -- a consistent read: what others have not committed is not seen, not waited for, and gets a later batch
  insert into {home}.fresh select seq from {home}.journal where batch is null;
  select count(*) into fresh from {home}.fresh;
  if fresh > 0 then
    set last_batch = last_batch + 1;
    -- row by row through its key: walking the journal would wait for what others have not committed
    update {home}.fresh f straight_join {home}.journal j force index (primary) on j.seq = f.seq
       set j.batch = last_batch;
    insert into {home}.batch (batch, mark, at) values (last_batch, uuid(), {home}.clock());
    update {home}.counter set batch = last_batch where one = 1;
  end if;
  commit;
  -- a table without transactions may show its entry a moment before its row: told once more, a second later, or at
  -- once where no statement is left that could show one (@banyan_at_rest)
  delete l from {home}.lasting l join {home}.lasting_told n on n.seq = l.seq
   where n.is_last;
  update {home}.lasting l join {home}.lasting_told n on n.seq = l.seq set l.told_at = {home}.clock()
   where l.told_at is null;
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
