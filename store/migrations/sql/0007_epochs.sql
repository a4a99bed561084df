-- Why a row is gone, the epochs of keys used again, indexes of reading, and an outbox that does not grow for ever.
alter table mig.crosswalk add column deleted_reason text;
alter table mig.crosswalk add constraint crosswalk_deleted_reason_check
  check (deleted_reason in ('GONE', 'MARKED', 'FILTERED', 'REUSED', 'REMOVED'));

create or replace view mig.lineage as
  select c.department_code, t.system_code, t.table_name, c.source_key, c.key_epoch, c.rule_id, c.run_no,
         coalesce(l.part, '') as part, l.canonical_table, coalesce(l.canonical_id, c.id) as canonical_id,
         c.residue is not null as has_residue, c.deleted_at, c.deleted_reason
  from mig.crosswalk c
  join mig.source_table t using (source_table_no)
  left join mig.record_link l on l.id = c.id and l.department_code = c.department_code;

-- the forward applier remembers the keys that the old system used again; it changes and forgets none
grant insert on mig.adopted_key to banyan_forward;

-- Indexes each reference of a department's records, after its first copy: the way back asks which records refer to one.
create function mig.index_references(department text) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  item record;
  made integer := 0;
begin
  for item in
    select i.inhrelid::regclass as partition, c.relname || '_' || a.attname || '_idx' as name, a.attname as held
    from pg_inherits i
    join pg_class p on p.oid = i.inhparent and p.relnamespace = 'justice'::regnamespace and p.relkind = 'p'
    join pg_class c on c.oid = i.inhrelid and c.relname = p.relname || '_' || lower(department)
    join pg_attribute a on a.attrelid = c.oid and a.atttypid = 'uuid'::regtype and a.attname <> 'id' and a.attnum > 0
    where not exists (select from pg_index x where x.indrelid = c.oid and x.indkey[0] = a.attnum)
    order by 1, 3
  loop
    execute format('create index %I on %s (%I) where %I is not null', left(item.name, 63), item.partition,
                   item.held, item.held);
    made := made + 1;
  end loop;
  return made;
end $$;
revoke execute on function mig.index_references(text) from public;
grant execute on function mig.index_references(text) to banyan_forward;

-- Up to where the outbox of a domain was pruned: whoever stands before it must compare instead of reading on.
create table mig.outbox_floor (
  department_code text not null,
  domain_code text not null,
  pruned_below xid8 not null,
  pruned_at timestamptz default now() not null,
  constraint outbox_floor_pkey primary key (department_code, domain_code));

-- Forgets the keys of some domains that every reader has read: below the oldest transaction that the way back (its
-- snapshot is given) and the tripwire (its snapshots are in the store) may still ask for. Before the way back is given
-- up nothing is forgotten: a rollback is verified from the flip on.
create function mig.prune_outbox(department text, domains text[], carried pg_snapshot) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  below xid8;
  gone bigint;
begin
  select min(pg_snapshot_xmin(s)) into below
  from (select carried union all select pg_current_snapshot()
        union all select cast(snapshot as pg_snapshot) from mig.judged where department_code = department
        union all select cast(snapshot as pg_snapshot) from mig.bucket where department_code = department) readers(s);
  delete from mig.outbox where department_code = department and domain_code = any(domains) and xid < below;
  get diagnostics gone = row_count;
  if gone > 0 then
    insert into mig.outbox_floor (department_code, domain_code, pruned_below)
    select department, d, below from unnest(domains) d
    on conflict (department_code, domain_code) do update
      set pruned_below = greatest(mig.outbox_floor.pruned_below, excluded.pruned_below), pruned_at = now();
  end if;
  return gone;
end $$;
revoke execute on function mig.prune_outbox(text, text[], pg_snapshot) from public;
grant execute on function mig.prune_outbox(text, text[], pg_snapshot) to banyan_guard;
grant select on mig.outbox_floor to banyan_reverse, banyan_judge, banyan_guard, banyan_auditor;
