"""Tables whose changes nobody finds: told by each run, noted before their capture is repaired so that none is lost."""

from typing import TYPE_CHECKING

from banyan.departments import Phase, Side
from banyan.errors import SourceDrifted
from store.gaps import close_gaps, find_gaps, note_gaps
from store.ledger import LedgerReader
from store.postgres import transaction
from sync.captures import find_unfollowed

if TYPE_CHECKING:
    from sync.assembly import Rig


def note_unfollowed(rig: "Rig") -> list[str]:
    """Note the tables once carried whose changes nobody writes down now; gives their names.

    Of a closure that CANONICAL owns, nobody writes in the old system; about one that is stopped, two persons decide.
    """
    with transaction(rig.workspace.engine("banyan_forward")) as connection:
        is_begun = any(run.to_side is Side.CANONICAL for run in LedgerReader(connection).read_runs(rig.source))
    if not is_begun:
        return []
    rows = [rig.slices(found.name)[0] for found in rig.closures]
    followed = {row.closure for row in rows if row.owner is Side.LEGACY and row.phase is not Phase.HALT}
    tables = [table for found in rig.closures if found.name in followed for table in found.tables]
    loose = find_unfollowed(rig.port, rig.workspace.source_config(rig.source), tables)
    with transaction(rig.workspace.engine("banyan_forward")) as connection:
        note_gaps(connection, rig.source, loose)
    return loose


def refuse_unfollowed(rig: "Rig") -> None:
    """Refuse, once all others are carried, while nobody finds the changes of a table that the old system owns."""
    followed = [found for found in rig.closures if rig.slices(found.name)[0].owner is Side.LEGACY]
    tables = [table for found in followed for table in found.tables]
    config = rig.workspace.source_config(rig.source)
    loose = find_unfollowed(rig.port, config, tables)
    if loose:
        names = ", ".join(loose)
        raise SourceDrifted(
            f"changes of {names} are found by nothing: capture: {config.capture} is not on them, and no look can be; "
            "the changes of every other table were carried",
            hint=f"banyan load {rig.source.department_code}, which installs it and reads them again",
            tables=names,
        )


def forget_unfollowable(rig: "Rig", loose: list[str]) -> None:
    """Strike out tables that no capture follows after its repair either: that is told of them wherever one asks."""
    still = set(find_unfollowed(rig.port, rig.workspace.source_config(rig.source), loose)) if loose else set()
    if still:
        with transaction(rig.workspace.engine("banyan_forward")) as connection:
            noted = find_gaps(connection, rig.source)
            close_gaps(connection, rig.source, {name: at for name, at in noted.items() if name in still})
