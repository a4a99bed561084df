-- The legacy fence: one row a closure, one trigger a table, one door for every effect.
-- name: schema
create schema if not exists banyan

-- name: fence
create table if not exists banyan.fence (
  closure text primary key,
  token bigint not null default 0,
  mode text not null default 'OPEN' check (mode in ('OPEN', 'CLOSED', 'SEALED')),
  lease_until timestamptz,
  nonce uuid not null,
  check (mode <> 'CLOSED' or lease_until is not null)) with (fillfactor = 50)

-- name: fenced
create table if not exists banyan.fenced (
  closure text not null,
  schema_name text not null,
  table_name text not null,
  table_oid oid not null,
  primary key (schema_name, table_name))

-- name: position
create table if not exists banyan.position (
  route text primary key,
  position text not null,
  applied_at timestamptz not null)

-- name: check_fence
create or replace function banyan.check_fence() returns trigger language plpgsql security definer
set search_path = pg_catalog, pg_temp as $banyan$
declare
  f record;
  shut boolean;
begin
  -- the share lock is held to the end of the transaction: an effect waits for every writer in flight
  select mode, token, nonce, lease_until into f from banyan.fence where closure = tg_argv[0] for share;
  shut := not found or f.mode = 'SEALED' or f.mode = 'CLOSED' and clock_timestamp() < f.lease_until;
  if session_user = 'banyan_reverse' then
    -- set by banyan.admit_reverse for this transaction only; a stalled applier holds an old token
    if coalesce(current_setting('banyan.closure', true) = tg_argv[0]
                and current_setting('banyan.token', true) = f.token::text
                and current_setting('banyan.nonce', true) = f.nonce::text
                and (shut or current_setting('banyan.rehearsal', true) = 'on'), false) then
      return null;
    end if;
    raise exception 'banyan: the reverse applier does not hold the token of %', tg_argv[0] using errcode = '55006';
  end if;
  if shut then
    raise exception 'banyan: moved or moving: % is closed', tg_argv[0] using errcode = '55006';
  end if;
  return null;
end $banyan$

-- name: effect
create or replace function banyan.effect(what text, c text, tok bigint, seconds double precision,
                                         nonce_old uuid, nonce_new uuid)
returns table (accepted boolean, reason text, lease_seconds double precision) language plpgsql security definer
set search_path = pg_catalog, pg_temp as $banyan$
declare
  f record;
  t timestamptz;
  held boolean;
begin
  -- lock first, read the clock second: a conditional UPDATE would judge the lease before it has waited
  select k.token, k.mode, k.lease_until, k.nonce into f from banyan.fence k where k.closure = c for update;
  if not found then
    return query select false, 'no fence for this closure', null::double precision;
    return;
  end if;
  t := clock_timestamp();
  if nonce_old is null or nonce_new is null or tok is null or f.nonce not in (nonce_old, nonce_new) then
    return query select false, 'another incarnation', null::double precision;
    return;
  end if;
  held := f.token = tok and (f.mode = 'SEALED' or f.mode = 'CLOSED' and t < f.lease_until);
  reason := null;
  if what = 'close' then
    if f.mode = 'SEALED' and f.token = tok then            -- a late close never downgrades a seal
      f.lease_until := null;
      reason := 'already sealed';
    elsif tok < f.token then
      return query select false, 'old token', null::double precision;
      return;
    elsif tok = f.token and not held then                  -- one close for each token
      return query select false, 'token used', null::double precision;
      return;
    else
      f.lease_until := t + make_interval(secs => seconds);
      update banyan.fence k set mode = 'CLOSED', token = tok, lease_until = f.lease_until, nonce = nonce_new
        where k.closure = c;
      reason := 'closed';
    end if;
  elsif what = 'seal' then
    if not held then
      return query select false, 'lease or token lost', null::double precision;
      return;
    end if;
    update banyan.fence k set mode = 'SEALED', nonce = nonce_new where k.closure = c;
    f.lease_until := null;
    reason := 'sealed';
  elsif what = 'open' then
    if tok < f.token then
      return query select false, 'old token', null::double precision;
      return;
    end if;
    update banyan.fence k set mode = 'OPEN', token = tok, lease_until = null, nonce = nonce_new where k.closure = c;
    f.lease_until := null;
    reason := 'opened';
  elsif what = 'beat' then
    if tok <> f.token then
      return query select false, 'another token', null::double precision;
      return;
    end if;
    update banyan.fence k set nonce = nonce_new where k.closure = c;
    if f.mode <> 'CLOSED' then f.lease_until := null; end if;
    reason := 'beat';
  else
    raise exception 'banyan: unknown effect %', what;
  end if;
  return query select true, reason, extract(epoch from f.lease_until - t)::double precision;
end $banyan$

-- name: admit_reverse
create or replace function banyan.admit_reverse(c text, tok bigint, n uuid, rehearsal boolean)
returns text language plpgsql security definer set search_path = pg_catalog, pg_temp as $banyan$
declare
  f record;
begin
  select mode, token, nonce, lease_until into f from banyan.fence where closure = c for share;
  if not found then return 'there is no fence for this closure'; end if;
  if f.nonce is distinct from n then return 'the fence belongs to another incarnation'; end if;
  if f.token is distinct from tok then return 'the fence holds another token'; end if;
  if not rehearsal and not (f.mode = 'SEALED' or f.mode = 'CLOSED' and clock_timestamp() < f.lease_until) then
    return 'the fence is open';
  end if;
  perform set_config('banyan.closure', c, true), set_config('banyan.token', tok::text, true),
          set_config('banyan.nonce', n::text, true),
          set_config('banyan.rehearsal', case when rehearsal then 'on' else 'off' end, true);
  return 'ok';
end $banyan$

-- name: wait_in_flight
create or replace function banyan.wait_in_flight(c text) returns boolean language plpgsql security definer
set search_path = pg_catalog, pg_temp as $banyan$
begin
  perform 1 from banyan.fence where closure = c for update;
  return found;
end $banyan$

-- name: fence_code
create table if not exists banyan.fence_code (
  closure text primary key,
  key bytea not null check (octet_length(key) = 32))

-- name: open_by_code
create or replace function banyan.open_by_code(c text, code text) returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp as $banyan$
declare
  f record;
  k bytea;
  tok bigint;
  expected text;
begin
  -- read over the telephone when the link is cut: the token, a point, 16 hexadecimal digits in groups of four
  select token, nonce into f from banyan.fence where closure = c for update;
  if not found then return 'refused: there is no fence for this closure'; end if;
  select key into k from banyan.fence_code where closure = c;
  if not found or code !~ '^[0-9]{1,18}[.][0-9A-Fa-f]{4}(-[0-9A-Fa-f]{4}){3}$' then
    return 'refused: this is no code of this closure';
  end if;
  tok := split_part(code, '.', 1)::bigint;
  expected := substr(encode(sha256(k || sha256(k || convert_to(c || '|' || tok || '|' || f.nonce, 'UTF8'))), 'hex'), 1, 16);
  if lower(replace(split_part(code, '.', 2), '-', '')) <> expected then
    return 'refused: this is no code of this closure';
  end if;
  if tok < f.token then return 'refused: this code is old'; end if;  -- a later move has used it up
  update banyan.fence set mode = 'OPEN', token = tok, lease_until = null where closure = c;
  return 'opened';
end $banyan$

-- name: rights_1
revoke all on banyan.fence, banyan.fenced, banyan.position from public

-- name: rights_2
revoke all on function banyan.effect(text, text, bigint, double precision, uuid, uuid),
  banyan.admit_reverse(text, bigint, uuid, boolean), banyan.wait_in_flight(text) from public

-- name: rights_code_1
revoke all on banyan.fence_code from public

-- name: rights_code_2
revoke all on function banyan.open_by_code(text, text) from public

-- name: rights_3
grant usage on schema banyan to banyan_guard, banyan_reverse, banyan_reader

-- name: rights_4
grant select on banyan.fence, banyan.fenced to banyan_guard, banyan_reader

-- name: rights_5
grant select on banyan.position to banyan_guard, banyan_reader, banyan_reverse

-- name: rights_6
grant insert, update on banyan.position to banyan_reverse

-- name: rights_7
grant execute on function banyan.effect(text, text, bigint, double precision, uuid, uuid),
  banyan.wait_in_flight(text) to banyan_guard

-- name: rights_8
grant execute on function banyan.admit_reverse(text, bigint, uuid, boolean) to banyan_reverse
