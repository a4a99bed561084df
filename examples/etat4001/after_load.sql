-- A unit is valid from the first to the last year in which it has a row. Changes nothing when it runs again.
update justice.enforcement_unit u
set valid_from = seen.first_day, valid_to = seen.last_day, row_version = u.row_version + 1, updated_at = now()
from (
  select unit_id, make_date(min(year), 1, 1) as first_day, make_date(max(year), 12, 31) as last_day
  from justice.recorded_fact_count
  where department_code = :department
  group by unit_id
) seen
where u.department_code = :department
  and u.id = seen.unit_id
  and (u.valid_from, u.valid_to) is distinct from (seen.first_day, seen.last_day)
