-- What a run says of its rows, for whoever must believe it.

-- The keys of rows that moved while their chunk was read: no number without its list.
alter table mig.chunk add column in_flight text[];

-- What a chunk of the way back will have done once the old system has committed it: the Position it leaves there, and
-- the fates of its rows. Nothing of it counts before that Position was read back.
alter table mig.chunk add column intent jsonb;

-- A run whose figures are not those of its lists holds its route until a person has cancelled it, with a reason.
create index held_run on mig.run (department_code, system_code, to_side) where state = 'FAILED';

-- Both conservation equations of each run and table, as an auditor reads them.
create or replace view mig.conservation as
  select r.department_code, r.system_code, r.to_side, r.run_no, r.kind, r.state, f.table_name,
         sum(f.figure) filter (where f.name = 'rows.read') as read,
         sum(f.figure) filter (where f.name = 'rows.loaded') as loaded,
         sum(f.figure) filter (where f.name = 'rows.unchanged') as unchanged,
         sum(f.figure) filter (where f.name = 'rows.deleted') as deleted,
         sum(f.figure) filter (where f.name = 'rows.filtered') as filtered,
         sum(f.figure) filter (where f.name = 'rows.quarantined') as quarantined,
         sum(f.figure) filter (where f.name = 'rows.in_flight') as in_flight,
         sum(f.figure) filter (where f.name = 'parts.emitted') as parts_emitted,
         sum(f.figure) filter (where f.name = 'parts.inserted') as parts_inserted,
         sum(f.figure) filter (where f.name = 'parts.updated') as parts_updated,
         sum(f.figure) filter (where f.name = 'parts.unchanged') as parts_unchanged,
         sum(f.figure) filter (where f.name = 'parts.merged') as parts_merged,
         sum(f.figure) filter (where f.name = 'parts.split') as parts_split,
         sum(f.figure) filter (where f.name = 'parts.removed') as parts_removed,
         sum(f.figure) filter (where f.name = 'rejected_fields') as rejected_fields
  from mig.run r join mig.figure f using (run_no)
  group by r.run_no, f.table_name;
