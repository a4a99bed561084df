-- Who is on each list of live work in the new system: key and name. Asked of :department.

-- name: open_cases
select r.id, btrim(coalesce(r.case_number, ''))
from justice.case_file r
where r.department_code = :department and r.case_status_code = 'OPEN';

-- name: missing_persons
select r.id, coalesce(nullif(btrim(c.case_number), ''), '?') || ' · ' || coalesce(r.role_sequence::text, '')
from justice.participation r
left join justice.case_file c on c.id = r.case_file_id and c.department_code = r.department_code
where r.department_code = :department and r.role_code = 'MISSING';

-- name: stolen_vehicles
-- a vehicle that is listed as not writable back is none in the old system, which knows its item as an object
select r.id, coalesce(nullif(btrim(c.case_number), ''), '?') || ' · ' || btrim(coalesce(v.plate_raw, ''))
from justice.vehicle v
join justice.item r on r.id = v.item_id and r.department_code = v.department_code
left join justice.case_file c on c.id = r.case_file_id and c.department_code = r.department_code
where r.department_code = :department and r.item_status_code = 'STOLEN'
  and not exists (select from mig.degraded_write_back d
                  where d.department_code = v.department_code and d.main_id = v.id
                    and d.state = 'OPEN' and d.column_name is null);

-- name: stolen_items
select r.id, coalesce(nullif(btrim(c.case_number), ''), '?') || ' · ' || btrim(coalesce(r.serial_number, ''))
from justice.item r
left join justice.case_file c on c.id = r.case_file_id and c.department_code = r.department_code
where r.department_code = :department and r.item_status_code = 'STOLEN'
  and not exists (select from justice.vehicle v where v.item_id = r.id and v.department_code = r.department_code
    and not exists (select from mig.degraded_write_back d
                  where d.department_code = v.department_code and d.main_id = v.id
                    and d.state = 'OPEN' and d.column_name is null));

-- name: in_custody
select d.id, coalesce(nullif(btrim(c.case_number), ''), '?') || ' · ' || coalesce(r.role_sequence::text, '?')
from justice.detention d
left join justice.participation r on r.id = d.participation_id and r.department_code = d.department_code
left join justice.case_file c on c.id = r.case_file_id and c.department_code = r.department_code
where d.department_code = :department and d.ended_at is null and d.started_at is not null;

-- name: live_seals
select r.id, coalesce(nullif(btrim(c.case_number), ''), '?') || ' · ' || btrim(coalesce(r.seal_number, ''))
from justice.evidence r
left join justice.case_file c on c.id = r.case_file_id and c.department_code = r.department_code
where r.department_code = :department and r.evidence_status_code is null;
