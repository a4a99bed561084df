"""Rows that follow a parent row, while another worker carries that parent: whoever commits second knows of the first.

A named rule that keeps a parent out keeps its children out. The worker of the children asks which parents are kept
out, the worker of the parents which children are carried: side by side, each could ask before the other commits. So
children hold their parents' tables to the end of their transaction, and parents wait for them before they ask.
"""

from mappings.model import Ruleset
from store.ledger import LedgerReader
from store.runs import ChunkLease
from sync.setting import Psycopg, Setting

_CHILDREN = "select pg_advisory_xact_lock_shared(hashtext('banyan follow ' || %s), %s)"
_PARENTS = "select pg_advisory_xact_lock(hashtext('banyan follow ' || %s), %s)"


def parent_tables(ruleset: Ruleset) -> tuple[str, ...]:
    """Name the tables whose rows keep out those of a table, in one order for everybody."""
    return tuple(sorted({rule.parent.table for rule in ruleset.filters if rule.parent is not None}))


def is_followed(setting: Setting, table: str) -> bool:
    """Tell whether rows of other tables are kept out with those of a table."""
    return any(table in parent_tables(ruleset) for ruleset in setting.book.rulesets.values())


def count_parents_carried(reader: LedgerReader, ruleset: Ruleset, lease: ChunkLease) -> int:
    """Count the chunks of the parents' tables that this run has carried so far: what grew may have kept out more."""
    tables = parent_tables(ruleset)
    return reader.count_done(lease.run_no, tables) if tables else 0


def hold_parents(connection: Psycopg, setting: Setting, ruleset: Ruleset) -> None:
    """Let no parent be kept out or let in again before this transaction ends; waits for those who are doing so."""
    for table in parent_tables(ruleset):
        statement = _PARENTS if table == ruleset.table else _CHILDREN
        connection.execute(statement, (setting.department.code, setting.table_numbers[table]))


def await_children(connection: Psycopg, setting: Setting, table: str) -> None:
    """Wait for the transactions that carry children of a table, and let none begin before this one ends."""
    connection.execute(_PARENTS, (setting.department.code, setting.table_numbers[table]))
