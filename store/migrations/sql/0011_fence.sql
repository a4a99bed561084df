-- What the fence costs a statement: that the one slice it touches is open, and is the only one, is one question where
-- three were asked; the outbox keeps one index where two were kept.

-- Whether a slice is open to whoever `need` says. The owner alone does not answer: in R_DRAINING and R_VERIFYING it is
-- CANONICAL and nobody may write. Bound to what it names when it is made, and without a setting, so that it is inlined.
create function mig.is_open(need text, owner text, phase text, armed_boot timestamptz) returns boolean
language sql stable
return armed_boot = pg_catalog.pg_postmaster_start_time()
  and case need when 'LEGACY' then owner = 'LEGACY' and phase <> 'HALT'
                else phase in ('LIVE', 'COMPLETING', 'RETIRED') end;
revoke execute on function mig.is_open(text, text, text, timestamptz) from public;

-- Who may write: banyan_forward while LEGACY owns the slice, everybody else while CANONICAL owns it. session_user is
-- compared, never pg_has_role: a superuser is a member of all roles, and SET ROLE must not change the answer.
create or replace function mig.fence() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  need constant text := case session_user when 'banyan_forward' then 'LEGACY' else 'CANONICAL' end;
  is_one_and_open boolean;
  departments text[];
  domains text[];
  open_slices int;
begin
  -- A share lock waits for a flip in flight and makes a later flip wait for this writer. Several slices are locked in
  -- the order of their keys, as a flip locks them: here nothing is locked unless it is the only one.
  if tg_op = 'INSERT' then
    select mig.is_open(need, s.owner, s.phase, s.armed_boot) into is_one_and_open from mig.slice s
    where (s.department_code, s.domain_code) = (select department_code, domain_code from new_rows limit 1)
      and (select r.id from new_rows r
           where r.department_code <> s.department_code or r.domain_code <> s.domain_code limit 1) is null for share;
  elsif tg_op = 'DELETE' then
    select mig.is_open(need, s.owner, s.phase, s.armed_boot) into is_one_and_open from mig.slice s
    where (s.department_code, s.domain_code) = (select department_code, domain_code from old_rows limit 1)
      and (select r.id from old_rows r
           where r.department_code <> s.department_code or r.domain_code <> s.domain_code limit 1) is null for share;
  else
    select mig.is_open(need, s.owner, s.phase, s.armed_boot) into is_one_and_open from mig.slice s
    where (s.department_code, s.domain_code) = (select department_code, domain_code from old_rows limit 1)
      and (select r.id from old_rows r
           where r.department_code <> s.department_code or r.domain_code <> s.domain_code limit 1) is null
      and (select r.id from new_rows r
           where r.department_code <> s.department_code or r.domain_code <> s.domain_code limit 1) is null for share;
  end if;
  if is_one_and_open is not true then  -- several slices, one that is closed or unknown, or no row at all
    if tg_op = 'INSERT' then
      select array_agg(d), array_agg(m) into departments, domains
      from (select department_code d, domain_code m from new_rows group by 1, 2) touched;
    elsif tg_op = 'DELETE' then
      select array_agg(d), array_agg(m) into departments, domains
      from (select department_code d, domain_code m from old_rows group by 1, 2) touched;
    else
      select array_agg(d), array_agg(m) into departments, domains
      from (select department_code d, domain_code m from old_rows
            union select department_code, domain_code from new_rows) touched;
    end if;
    if departments is null then
      return null;  -- the statement touched no row
    end if;
    select count(*) filter (where mig.is_open(need, owner, phase, armed_boot)) into open_slices
    from (select owner, phase, armed_boot from mig.slice
          where (department_code, domain_code) in (select * from unnest(departments, domains))
          order by department_code, domain_code for share) s;
    if open_slices <> cardinality(departments) then
      raise exception 'banyan: slice fenced' using errcode = '55006',
        detail = format('%s may not %s %s: departments %s, domains %s',
                        session_user, lower(tg_op), tg_table_name, departments, domains),
        hint = 'banyan switch status';
    end if;
  end if;

  if need = 'LEGACY' then
    return null;  -- the forward applier leaves nothing in the outbox: no echo
  end if;
  if tg_op = 'INSERT' then
    insert into mig.outbox (relation, op, department_code, domain_code, key)
    select tg_table_name, 'I', department_code, domain_code, id from new_rows;
  elsif tg_op = 'DELETE' then
    insert into mig.outbox (relation, op, department_code, domain_code, key)
    select tg_table_name, 'D', department_code, domain_code, id from old_rows;
  else  -- a row that moved, or whose id changed, leaves both keys
    insert into mig.outbox (relation, op, department_code, domain_code, key)
    select tg_table_name, 'U', department_code, domain_code, id from old_rows
    union select tg_table_name, 'U', department_code, domain_code, id from new_rows;
  end if;
  return null;
end $$;

alter table mig.outbox drop constraint outbox_pkey;
alter table mig.outbox add constraint outbox_pkey primary key (xid, id);
drop index mig.outbox_xid_idx;
