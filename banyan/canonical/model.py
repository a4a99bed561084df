"""All canonical tables by name; imports no library, so that rules can be checked without a database."""

from banyan.canonical import cases, evidence, people, reference
from banyan.canonical.columns import TAIL, CanonicalTable, Column, Kind, Sensitivity

__all__ = ["TABLES", "TAIL", "CanonicalTable", "Column", "Kind", "Sensitivity"]

TABLES: dict[str, CanonicalTable] = {
    table.name: table for table in (*reference.TABLES, *cases.TABLES, *people.TABLES, *evidence.TABLES)
}
