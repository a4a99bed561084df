"""The keys of a legacy table of which the store holds something: rows carried, filtered, or waiting in quarantine."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from banyan.departments import SourceRef

_KNOWN = sa.text("""
with meant as (
  select source_table_no as number from mig.source_table
  where department_code = :department and system_code = :system and table_name = :name)
select c.source_key from mig.crosswalk c, meant
where c.department_code = :department and c.source_table_no = meant.number and c.deleted_at is null
union select f.source_key from mig.filtered_row f, meant
where f.department_code = :department and f.source_table_no = meant.number
union select q.source_key from mig.quarantine q, meant
where q.department_code = :department and q.source_table_no = meant.number and q.state = 'OPEN'
""")


def read_known_keys(connection: Connection, source: SourceRef, table: str) -> list[str]:
    """List the keys known of one table, each once, in no order."""
    bound = {"department": source.department_code, "system": source.system_code, "name": table}
    return list(connection.scalars(_KNOWN, bound))
