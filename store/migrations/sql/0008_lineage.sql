-- A row with links has its main record too, and marks that no fold will ask for again are forgotten.
create or replace view mig.lineage as
  select c.department_code, t.system_code, t.table_name, c.source_key, c.key_epoch, c.rule_id, c.run_no,
         r.part, r.canonical_table, r.canonical_id, c.residue is not null as has_residue, c.deleted_at, c.deleted_reason
  from mig.crosswalk c
  join mig.source_table t using (source_table_no)
  cross join lateral (
    select '' as part, null::text as canonical_table, c.id as canonical_id  -- the main part: its table is the rule's
    union all
    select l.part, l.canonical_table, l.canonical_id
    from mig.record_link l where l.id = c.id and l.department_code = c.department_code) r;

-- Forgets the marks of a department that lie before every fold of their table, and before what was judged: the tripwire
-- asks who wrote since a fold, never before it. Called before a new fold (its snapshot is given) replaces the last one,
-- so that a judgement that runs beside this one still finds what it asks for. Tables never folded keep all their marks.
create function mig.prune_marks(department text, fold pg_snapshot) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  judged xid8;
  gone bigint;
begin
  select min(pg_snapshot_xmin(s)) into judged
  from (select fold
        union all select cast(snapshot as pg_snapshot) from mig.judged where department_code = department) readers(s);
  delete from mig.bucket_mark m
  using (select canonical_table, min(pg_snapshot_xmin(cast(snapshot as pg_snapshot))) as below
         from mig.bucket where department_code = department group by canonical_table) folded
  where m.department_code = department and m.canonical_table = folded.canonical_table
    and m.xid < least(folded.below, judged);
  get diagnostics gone = row_count;
  return gone;
end $$;
revoke execute on function mig.prune_marks(text, pg_snapshot) from public;
grant execute on function mig.prune_marks(text, pg_snapshot) to banyan_judge;
