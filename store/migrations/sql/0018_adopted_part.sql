-- The parts of rows whose identifier does not follow from their legacy key: the way back alone makes such. Whoever maps
-- a row asks for these and computes the others, so that a department without any asks nothing.
create table mig.adopted_part (
  department_code text not null,
  id uuid not null,
  part text not null,
  canonical_id uuid not null,
  constraint adopted_part_pkey primary key (department_code, id, part, canonical_id));

-- which links of a department that was written back are computed is not known here: all of them are asked for
insert into mig.adopted_part (department_code, id, part, canonical_id)
  select l.department_code, l.id, l.part, l.canonical_id from mig.record_link l
  where l.department_code in (select r.department_code from mig.run r where r.to_side = 'LEGACY');

grant select, insert on mig.adopted_part to banyan_reverse;
grant select on mig.adopted_part to banyan_forward, banyan_judge, banyan_auditor, banyan_guard;
