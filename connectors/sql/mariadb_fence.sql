-- The legacy fence of MariaDB: one row a closure, three triggers a table, one door for every effect.
-- name: fence
create table if not exists {home}.fence (
  closure varchar(120) primary key,
  token bigint not null default 0,
  mode enum('OPEN', 'CLOSED', 'SEALED') not null default 'OPEN',
  lease_until datetime(6) null,
  nonce char(36) not null,
  check (mode <> 'CLOSED' or lease_until is not null)) engine = innodb

-- name: check_fence
create or replace definer = banyan_owner@localhost procedure {home}.check_fence(c varchar(120))
modifies sql data sql security definer
begin
  declare f_mode varchar(8) default 'SEALED';
  declare f_until datetime(6);
  declare f_token, a_token bigint;
  declare f_nonce, a_nonce char(36);
  declare a_rehearsal boolean default false;
  declare shut boolean;
  declare continue handler for not found begin end;
  -- the share lock is held to the end of the transaction: an effect waits for every writer in flight
  select mode, token, nonce, lease_until into f_mode, f_token, f_nonce, f_until
    from {home}.fence where closure = c lock in share mode;
  set shut = f_mode = 'SEALED' or (f_mode = 'CLOSED' and {home}.clock() < f_until);
  -- written by admit_reverse in this transaction and gone before it commits: nobody else can bring it
  select token, nonce, is_rehearsal into a_token, a_nonce, a_rehearsal
    from {home}.admitted where connection_id = connection_id() and closure = c;
  if a_token is not null or substring_index(user(), '@', 1) = 'banyan_reverse' then
    if not coalesce(a_token = f_token and a_nonce = f_nonce and (shut or a_rehearsal), false) then
      signal sqlstate '45000' set mysql_errno = 32055,
        message_text = 'banyan: the reverse applier does not hold the token';
    end if;
  elseif shut then
    signal sqlstate '45000' set mysql_errno = 32055, message_text = 'banyan: moved or moving: closed';
  elseif @banyan_probe is not null then
    -- who asks whether a write would pass is told so by an error too: no row of any engine is changed by asking
    signal sqlstate '45000' set mysql_errno = 32056, message_text = 'banyan: this write would pass';
  end if;
end

-- name: check_fence_soon
create or replace definer = banyan_owner@localhost procedure {home}.check_fence_soon(c varchar(120))
modifies sql data sql security definer
begin
  declare turn int default 0;
  declare is_held boolean;
  -- who writes to a table without transactions keeps all of it locked: a transaction for which an effect waits may
  -- want that table, and no server finds this circle; so nobody waits long for an effect with such a table in hand
  repeat
    begin
      declare f_token bigint;
      declare continue handler for 1205 set is_held = true;
      declare continue handler for not found begin end;
      set is_held = false, turn = turn + 1;
      set statement innodb_lock_wait_timeout = 0 for
        select token into f_token from {home}.fence where closure = c lock in share mode;
      if is_held and turn < 3 then do sleep(0.05); end if;
    end;
  until not is_held or turn = 3 end repeat;
  if is_held then
    signal sqlstate '45000' set mysql_errno = 32055, message_text = 'banyan: moved or moving: closing';
  end if;
  call {home}.check_fence(c);
end

-- name: effect
create or replace definer = banyan_owner@localhost procedure {home}.effect(
  what varchar(8), c varchar(120), tok bigint, seconds double, nonce_old char(36), nonce_new char(36))
modifies sql data sql security definer
begin
  declare f_token bigint;
  declare f_mode varchar(8);
  declare f_until, t datetime(6);
  declare f_nonce char(36);
  declare held, accepted boolean default false;
  declare reason varchar(40) default null;
  declare continue handler for not found begin end;
  -- lock first, read the clock second: a conditional update would judge the lease before it has waited
  select token, mode, lease_until, nonce into f_token, f_mode, f_until, f_nonce
    from {home}.fence where closure = c for update;
  set t = {home}.clock();
  set held = f_token = tok and (f_mode = 'SEALED' or (f_mode = 'CLOSED' and t < f_until));
  if f_mode is null then
    set reason = 'no fence for this closure', f_until = null;
  elseif nonce_old is null or nonce_new is null or tok is null or f_nonce not in (nonce_old, nonce_new) then
    set reason = 'another incarnation', f_until = null;
  elseif what = 'close' then
    if f_mode = 'SEALED' and f_token = tok then            -- a late close never downgrades a seal
      set accepted = true, reason = 'already sealed', f_until = null;
    elseif tok < f_token then
      set reason = 'old token', f_until = null;
    elseif tok = f_token and not held then                 -- one close for each token
      set reason = 'token used', f_until = null;
    else
      set f_until = t + interval round(seconds * 1000000) microsecond;
      update {home}.fence set mode = 'CLOSED', token = tok, lease_until = f_until, nonce = nonce_new where closure = c;
      set accepted = true, reason = 'closed';
    end if;
  elseif what = 'seal' then
    set f_until = null;
    if held then
      update {home}.fence set mode = 'SEALED', nonce = nonce_new where closure = c;
      set accepted = true, reason = 'sealed';
    else
      set reason = 'lease or token lost';
    end if;
  elseif what = 'open' then
    set f_until = null;
    if tok < f_token then
      set reason = 'old token';
    else
      update {home}.fence set mode = 'OPEN', token = tok, lease_until = null, nonce = nonce_new where closure = c;
      set accepted = true, reason = 'opened';
    end if;
  elseif what = 'beat' then
    if tok <> f_token then
      set reason = 'another token', f_until = null;
    else
      update {home}.fence set nonce = nonce_new where closure = c;
      if f_mode <> 'CLOSED' then set f_until = null; end if;
      set accepted = true, reason = 'beat';
    end if;
  else
    signal sqlstate '45000' set message_text = 'banyan: unknown effect';
  end if;
  select accepted, reason, timestampdiff(microsecond, t, f_until);
end

-- name: admit_reverse
create or replace definer = banyan_owner@localhost procedure {home}.admit_reverse(
  c varchar(120), tok bigint, n char(36), rehearsal boolean)
modifies sql data sql security definer
begin
  declare f_token bigint;
  declare f_mode varchar(8);
  declare f_until datetime(6);
  declare f_nonce char(36);
  declare reason varchar(60) default 'ok';
  declare continue handler for not found begin end;
  select token, mode, lease_until, nonce into f_token, f_mode, f_until, f_nonce
    from {home}.fence where closure = c lock in share mode;
  if f_mode is null then set reason = 'there is no fence for this closure';
  elseif not f_nonce <=> n then set reason = 'the fence belongs to another incarnation';
  elseif not f_token <=> tok then set reason = 'the fence holds another token';
  elseif not rehearsal and not (f_mode = 'SEALED' or (f_mode = 'CLOSED' and {home}.clock() < f_until)) then
    set reason = 'the fence is open';
  else
    replace into {home}.admitted (connection_id, closure, token, nonce, is_rehearsal)
      values (connection_id(), c, tok, n, rehearsal);
  end if;
  select reason;
end

-- name: dismiss
create or replace definer = banyan_owner@localhost procedure {home}.dismiss()
modifies sql data sql security definer
begin
  delete from {home}.admitted where connection_id = connection_id();
end

-- name: passed
create table if not exists {home}.passed (
  one tinyint primary key,
  turn bigint not null) engine = aria transactional = 1

-- name: passed_row
insert ignore into {home}.passed (one, turn) values (1, 0)

-- name: pass
create or replace definer = banyan_owner@localhost function {home}.pass() returns tinyint
deterministic modifies sql data sql security definer
begin
  -- said to be deterministic: a server with a log creates no other function that writes, and rows are logged as rows
  -- the log holds a row that no rollback takes back before its transaction: a mark of that kind stands beside it
  update {home}.passed p join {home}.admitted a on a.connection_id = connection_id() set p.turn = p.turn + 1;
  return 1;
end

-- name: wait_in_flight
create or replace definer = banyan_owner@localhost procedure {home}.wait_in_flight(c varchar(120))
modifies sql data sql security definer
begin
  select count(*) from {home}.fence where closure = c for update;
end

-- name: reserve_keys
create or replace definer = banyan_owner@localhost procedure {home}.reserve_keys(wanted varchar(64), many int)
modifies sql data sql security definer
begin
  declare first_key, highest bigint unsigned;
  declare turn int default 0;
  declare counted varchar(64);
  declare known varchar(40);
  select column_name into counted from information_schema.columns
   where table_schema = {schema_text} and table_name = wanted and extra like '%auto_increment%';
  if not get_lock({schema_text}, 10) then
    signal sqlstate '45000' set mysql_errno = 1205, message_text = 'banyan: another reservation is under way';
  end if;
  set known = {home}.identity(wanted);
  repeat
    set turn = turn + 1;
    select auto_increment into first_key from information_schema.tables
     where table_schema = {schema_text} and table_name = wanted;
    execute immediate concat('alter table {schema}.`', replace(wanted, '`', '``'), '` auto_increment = ',
                             first_key + many);
    -- the alteration has waited for every writer: a key taken meanwhile is seen now
    execute immediate concat('select coalesce(max(`', replace(counted, '`', '``'), '`), 0) into @banyan_highest from ',
                             '{schema}.`', replace(wanted, '`', '``'), '`');
    set highest = @banyan_highest;
  until highest < first_key or turn = 5 end repeat;
  -- the alteration makes a table without transactions anew, whose rows and triggers stay: it is the same one
  update {home}.installed set table_identity = {home}.identity(wanted)
   where table_name = wanted and table_identity = known;
  do release_lock({schema_text});
  if highest >= first_key then
    signal sqlstate '45000' set mysql_errno = 1205, message_text = 'banyan: writers took the keys';
  end if;
  select first_key;
end

-- name: fence_code
create table if not exists {home}.fence_code (
  closure varchar(120) primary key,
  code_key varbinary(32) not null check (length(code_key) = 32)) engine = innodb

-- name: open_by_code
create or replace definer = banyan_owner@localhost procedure {home}.open_by_code(c varchar(120), code varchar(60))
modifies sql data sql security definer
begin
  declare k varbinary(32);
  declare f_token, tok bigint;
  declare f_nonce char(36);
  declare expected, answer varchar(64);
  declare continue handler for not found begin end;
  -- read over the telephone when the link is cut: the token, a point, 16 hexadecimal digits in groups of four
  select token, nonce into f_token, f_nonce from {home}.fence where closure = c for update;
  select code_key into k from {home}.fence_code where closure = c;
  if f_token is null then set answer = 'refused: there is no fence for this closure';
  elseif k is null or code not regexp '^[0-9]{1,18}[.][0-9A-Fa-f]{4}(-[0-9A-Fa-f]{4}){3}$' then
    set answer = 'refused: this is no code of this closure';
  else
    set tok = cast(substring_index(code, '.', 1) as signed);
    set expected = left(sha2(concat(k, unhex(sha2(concat(k, cast(concat(c, '|', tok, '|', f_nonce) as binary)), 256))),
                             256), 16);
    if lower(replace(substring_index(code, '.', -1), '-', '')) <> expected then
      set answer = 'refused: this is no code of this closure';
    elseif tok < f_token then
      set answer = 'refused: this code is old';           -- a later move has used it up
    else
      update {home}.fence set mode = 'OPEN', token = tok, lease_until = null where closure = c;
      set answer = 'opened';
    end if;
  end if;
  select answer;
end

-- name: writers
create or replace definer = banyan_owner@localhost procedure {home}.writers()
reads sql data sql security definer
begin
  select d.user, '', d.user in (select p.user from information_schema.processlist p) from mysql.db d
  where {schema_text} like d.db and 'Y' in (d.insert_priv, d.update_priv, d.delete_priv)
    and d.user not like 'banyan\_%'
  union
  select t.user, t.table_name, t.user in (select p.user from information_schema.processlist p) from mysql.tables_priv t
  where t.db = {schema_text} and t.user not like 'banyan\_%'
    and (find_in_set('Insert', t.table_priv) or find_in_set('Update', t.table_priv)
         or find_in_set('Delete', t.table_priv))
  union
  select u.user, '', u.user in (select p.user from information_schema.processlist p) from mysql.user u
  where 'Y' in (u.insert_priv, u.update_priv, u.delete_priv) and u.user not like 'banyan\_%'
    and not (u.super_priv = 'Y' and u.host in ('localhost', '127.0.0.1', '::1', lower(@@hostname)))
    and u.user <> 'mariadb.sys';
end

-- name: inspect_routines
create or replace definer = banyan_owner@localhost procedure {home}.inspect_routines()
reads sql data sql security definer
begin
  select r.routine_name, r.routine_definition, r.security_type, r.definer from information_schema.routines r
  where r.routine_schema = database();
end

-- name: rights_1
grant select on {home}.fence to {guard}

-- name: rights_2
grant select on {home}.fence to {reader}

-- name: rights_3
grant select on {home}.installed to {guard}

-- name: rights_4
grant execute on function {home}.clock to {guard}

-- name: rights_5
grant execute on function {home}.clock to {reader}

-- name: rights_6
grant execute on function {home}.clock to {reverse}

-- name: rights_7
grant execute on procedure {home}.effect to {guard}

-- name: rights_8
grant execute on procedure {home}.wait_in_flight to {guard}

-- name: rights_9
grant execute on procedure {home}.inspect_triggers to {guard}

-- name: rights_18
grant execute on procedure {home}.foreign_keys to {guard}

-- name: rights_19
grant execute on procedure {home}.writers to {guard}

-- name: rights_10
grant execute on procedure {home}.loose_rights to {guard}

-- name: rights_11
grant execute on procedure {home}.admit_reverse to {reverse}

-- name: rights_12
grant execute on procedure {home}.dismiss to {reverse}

-- name: rights_20
grant execute on function {home}.pass to {reverse}

-- name: rights_13
grant execute on procedure {home}.reserve_keys to {reverse}

-- name: rights_14
grant select, insert, update on {home}.position to {reverse}

-- name: rights_15
grant select on {home}.position to {reader}

-- name: rights_16
grant create temporary tables on {home}.* to {reverse}

-- name: rights_17
grant execute on procedure {home}.inspect_routines to {guard}
