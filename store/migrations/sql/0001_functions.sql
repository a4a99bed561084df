-- Fence, outbox, refusals, partitions, signatures and hash chains. Every function pins its search_path; those that
-- act for a role without rights on `mig` are SECURITY DEFINER and belong to banyan_owner.

-- Who may write: banyan_forward while LEGACY owns the slice, everybody else while CANONICAL owns it. session_user is
-- compared, never pg_has_role: a superuser is a member of all roles, and SET ROLE must not change the answer.
create function mig.fence() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  need constant text := case session_user when 'banyan_forward' then 'LEGACY' else 'CANONICAL' end;
  departments text[];
  domains text[];
  open_slices int;
begin
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
  -- the share lock waits for a flip in flight and makes a later flip wait for this writer
  -- the owner alone does not answer: in R_DRAINING and R_VERIFYING it is CANONICAL and nobody may write
  select count(*) filter (
    where s.armed_boot = pg_postmaster_start_time()
      and case need when 'LEGACY' then s.owner = 'LEGACY' and s.phase <> 'HALT'
                    else s.phase in ('LIVE', 'COMPLETING', 'RETIRED') end) into open_slices
  from (select owner, phase, armed_boot from mig.slice
        where (department_code, domain_code) in (select * from unnest(departments, domains))
        order by department_code, domain_code for share) s;
  if open_slices <> cardinality(departments) then
    raise exception 'banyan: slice fenced' using errcode = '55006',
      detail = format('%s may not %s %s: departments %s, domains %s',
                      session_user, lower(tg_op), tg_table_name, departments, domains),
      hint = 'banyan switch status';
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

create function mig.refuse() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  raise exception 'banyan: % on %.% is never allowed', tg_op, tg_table_schema, tg_table_name using errcode = '42501';
end $$;

-- Puts the fence on a canonical parent and the refusal on each of its partitions; run again after each new partition.
create procedure mig.fit(parent regclass)
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  item record;
begin
  execute format('create or replace trigger zz_banyan_i after insert on %s referencing new table as new_rows '
                 'for each statement execute function mig.fence()', parent);
  execute format('create or replace trigger zz_banyan_u after update on %s referencing old table as old_rows '
                 'new table as new_rows for each statement execute function mig.fence()', parent);
  execute format('create or replace trigger zz_banyan_d after delete on %s referencing old table as old_rows '
                 'for each statement execute function mig.fence()', parent);
  execute format('create or replace trigger aa_banyan_t before truncate on %s '
                 'for each statement execute function mig.refuse()', parent);
  for item in select inhrelid::regclass as partition from pg_inherits where inhparent = parent loop
    -- a statement trigger of a partition fires only when the partition itself is named
    execute format('create or replace trigger aa_banyan_p before insert or update or delete or truncate on %s '
                   'for each statement execute function mig.refuse()', item.partition);
    execute format('alter table %s enable always trigger aa_banyan_p', item.partition);
  end loop;
  for item in select tgname from pg_trigger where tgrelid = parent and tgname like '%\_banyan\__' loop
    execute format('alter table %s enable always trigger %I', parent, item.tgname);
  end loop;
end $$;

-- Gives a department its partition of every partitioned table, fenced where it is canonical. Idempotent.
create procedure mig.add_partitions(department text)
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  item record;
begin
  for item in
    select c.oid::regclass as parent, n.nspname as home, c.relname || '_' || lower(department) as name
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind = 'p' and n.nspname in ('justice', 'mig') order by n.nspname, c.relname
  loop
    execute format('create table if not exists %I.%I partition of %s for values in (%L)',
                   item.home, item.name, item.parent, department);
    if item.home = 'justice' or item.name like 'crosswalk%' or item.name like 'record_link%' then
      execute format('grant maintain on %I.%I to banyan_forward', item.home, item.name);  -- ANALYZE, nothing else
    end if;
    if item.home = 'justice' then
      call mig.fit(item.parent);
    end if;
  end loop;
end $$;

-- Canonical tables and partitions whose triggers are missing, changed or disabled: must be empty (banyan doctor).
create view mig.unfitted as
  select c.oid::regclass::text as relation, wanted.name as trigger_name
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace and n.nspname = 'justice'
  cross join lateral unnest(case when c.relispartition then array['aa_banyan_p']
                                 else array['aa_banyan_t', 'zz_banyan_d', 'zz_banyan_i', 'zz_banyan_u'] end) wanted(name)
  left join pg_trigger t on t.tgrelid = c.oid and t.tgname = wanted.name and t.tgenabled = 'A'
       and t.tgfoid = case when wanted.name like 'zz%' then 'mig.fence'::regproc else 'mig.refuse'::regproc end
  where c.relkind in ('r', 'p') and t.oid is null;

-- A steward and a lead, two different persons, accepted this evidence, nobody refused it, and it has not expired.
create function mig.is_signed(evidence text) returns boolean
language sql stable security definer set search_path = pg_catalog, pg_temp
begin atomic
  select exists (
      select from mig.sign_off steward join mig.sign_off lead using (evidence_id) join mig.evidence e using (evidence_id)
      where e.evidence_id = evidence and steward.role = 'steward' and lead.role = 'lead' and steward.actor <> lead.actor
        and steward.decision = 'ACCEPTED' and lead.decision = 'ACCEPTED'
        and (e.expires_at is null or e.expires_at > clock_timestamp()))
    and not exists (select from mig.sign_off where evidence_id = evidence and decision = 'REFUSED');
end;

create function mig.check_slice() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if tg_op = 'UPDATE' then
    if new.epoch < old.epoch then
      raise exception 'banyan: the epoch of a slice never goes back' using errcode = '23514';
    end if;
    if new.owner <> old.owner and new.epoch = old.epoch then
      raise exception 'banyan: a slice changes its owner only with a new epoch' using errcode = '23514';
    end if;
  end if;
  if new.phase = 'FENCING' and (tg_op = 'INSERT' or old.phase <> 'FENCING'
                                or old.evidence_id is distinct from new.evidence_id) then
    if new.evidence_id is null or not mig.is_signed(new.evidence_id) then
      raise exception 'banyan: no slice is fenced without evidence signed by a steward and a lead'
        using errcode = '23514', hint = 'banyan gate sign';
    end if;
    if not exists (select from mig.evidence where evidence_id = new.evidence_id and closure = new.closure) then
      raise exception 'banyan: this evidence is not about closure %', new.closure using errcode = '23514';
    end if;
  end if;
  return new;
end $$;
create trigger aa_banyan_slice before insert or update on mig.slice
  for each row execute function mig.check_slice();
alter table mig.slice enable always trigger aa_banyan_slice;
create trigger aa_banyan_truncate before truncate or delete on mig.slice
  for each statement execute function mig.refuse();
alter table mig.slice enable always trigger aa_banyan_truncate;

-- Hash chains. An entry is the text of its fields, each as its length in bytes, a colon and the field, or '-' when
-- empty; its hash is SHA-256 of the previous hash and that text. store/journal.py computes the same without the server.
create function mig.chain_field(field text) returns text
language sql immutable set search_path = pg_catalog, pg_temp
return coalesce(octet_length(convert_to(field, 'UTF8')) || ':' || field, '-');

create function mig.chain_instant(at timestamptz) returns text
language sql immutable set search_path = pg_catalog, pg_temp
return to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');

-- Locks the head of a chain to the end of the transaction and gives the number and hash the next entry follows.
create function mig.next_link(wanted text, out sequence bigint, out previous_hash bytea)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  insert into mig.chain (chain, length, head_hash) values (wanted, 0, decode(repeat('00', 32), 'hex'))
  on conflict do nothing;
  select c.length + 1, c.head_hash into sequence, previous_hash from mig.chain c where c.chain = wanted for update;
end $$;

create function mig.seal_journal() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  select l.sequence, l.previous_hash into new.sequence, new.previous_hash from mig.next_link('journal') l;
  new.at := clock_timestamp();
  new.entry_hash := sha256(new.previous_hash || convert_to(
    mig.chain_field(new.sequence::text) || mig.chain_field(mig.chain_instant(new.at)) || mig.chain_field(new.actor)
    || mig.chain_field(new.role) || mig.chain_field(new.authenticated_by) || mig.chain_field(new.kind)
    || mig.chain_field(new.closure) || mig.chain_field(new.from_phase) || mig.chain_field(new.to_phase)
    || mig.chain_field(new.epoch::text) || mig.chain_field(new.facts::text), 'UTF8'));
  update mig.chain set length = new.sequence, head_hash = new.entry_hash where chain = 'journal';
  return new;
end $$;

create function mig.seal_processing() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  select l.sequence, l.previous_hash into new.sequence, new.previous_hash
  from mig.next_link('processing.' || new.department_code) l;
  new.at := clock_timestamp();
  new.entry_hash := sha256(new.previous_hash || convert_to(
    mig.chain_field(new.department_code) || mig.chain_field(new.sequence::text)
    || mig.chain_field(mig.chain_instant(new.at)) || mig.chain_field(new.actor) || mig.chain_field(new.role)
    || mig.chain_field(new.authenticated_by) || mig.chain_field(new.operation) || mig.chain_field(new.reason)
    || mig.chain_field(new.recipient) || mig.chain_field(new.run_no::text)
    || (select coalesce(string_agg(mig.chain_field(reference), '' order by place), '')
        from unnest(new.record_refs) with ordinality as refs(reference, place)), 'UTF8'));
  update mig.chain set length = new.sequence, head_hash = new.entry_hash
  where chain = 'processing.' || new.department_code;
  return new;
end $$;

create trigger aa_banyan_seal before insert on mig.journal for each row execute function mig.seal_journal();
create trigger aa_banyan_seal before insert on mig.processing_log for each row execute function mig.seal_processing();
alter table mig.journal enable always trigger aa_banyan_seal;
alter table mig.processing_log enable always trigger aa_banyan_seal;

do $$
declare
  kept text;
begin
  foreach kept in array array['journal', 'processing_log', 'sign_off', 'evidence', 'waiver'] loop
    execute format('create trigger aa_banyan_kept before update or delete or truncate on mig.%I '
                   'for each statement execute function mig.refuse()', kept);
    execute format('alter table mig.%I enable always trigger aa_banyan_kept', kept);
  end loop;
  for kept in select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
              where n.nspname = 'justice' and c.relkind = 'p' loop
    execute format('call mig.fit(%L)', kept);
  end loop;
end $$;

-- The conservation equation of each run and table, as an auditor reads it.
create view mig.conservation as
  select r.department_code, r.system_code, r.to_side, r.run_no, r.kind, r.state, f.table_name,
         sum(f.figure) filter (where f.name = 'rows.read') as read,
         sum(f.figure) filter (where f.name = 'rows.loaded') as loaded,
         sum(f.figure) filter (where f.name = 'rows.unchanged') as unchanged,
         sum(f.figure) filter (where f.name = 'rows.deleted') as deleted,
         sum(f.figure) filter (where f.name = 'rows.filtered') as filtered,
         sum(f.figure) filter (where f.name = 'rows.quarantined') as quarantined,
         sum(f.figure) filter (where f.name = 'rows.in_flight') as in_flight
  from mig.run r join mig.figure f using (run_no)
  group by r.run_no, f.table_name;

-- Crosswalk and links as people read them: legacy table and key to canonical table and id.
create view mig.lineage as
  select c.department_code, t.system_code, t.table_name, c.source_key, c.key_epoch, c.rule_id, c.run_no,
         coalesce(l.part, '') as part, l.canonical_table, coalesce(l.canonical_id, c.id) as canonical_id,
         c.residue is not null as has_residue, c.deleted_at
  from mig.crosswalk c
  join mig.source_table t using (source_table_no)
  left join mig.record_link l on l.id = c.id and l.department_code = c.department_code;
