"""What `doctor` asks of a SQLite file that is read and written back: which fence it has and why, who has it open."""

from collections.abc import Iterator
from pathlib import Path

from banyan.departments import SourceRef
from cli.words import Remark, Word
from connectors.database import paths_in
from connectors.sqlite_connection import place_of
from connectors.sqlite_holders import look_for_holders, share_of
from sync.assembly import open_to_look
from sync.workspace import Workspace

_WHY = {
    "triggers": "the file stands on a disk of this machine, whose clock its lease counts on",
    "closed_window": "no lock or trigger is trusted: the whole file is moved aside and waited for; there is no lease",
}


def examine_file(workspace: Workspace, source: SourceRef) -> Iterator[Remark]:
    """Look at the file, or each of several, at the disk or share it stands on, and at who has it open."""
    config = workspace.source_config(source)
    place = workspace.legacy_urls(source).reader
    paths = list(paths_in(place, config.files).values()) or [Path(place)]
    missing = [path.name for path in paths if not place_of(path).is_file()]
    if missing:
        told = f"source {source}: {', '.join(missing)} cannot be found"
        yield Remark(Word.NO, told, "check url and files in banyan.yaml")
        return
    path = next((path for path in paths if share_of(path)), paths[0])
    tables = open_to_look(workspace, source).tables()
    share = share_of(path)
    several = f" of {len(paths)} files" if config.files else ""
    told = f"source {source}: {config.medium}, both ways, {len(tables)} tables{several}"
    if config.fence == "triggers" and share:
        yield Remark(
            Word.NO,
            f"{told}; fence: triggers, but the file stands on a share ({share}): each machine has a clock and locks of "
            "its own",
            "set fence: closed_window in banyan.yaml",
        )
    else:
        why = f"it stands on a share ({share})" if share else _WHY[config.fence]
        yield Remark(Word.OK, f"{told}; fence: {config.fence}: {why}")
    looked = look_for_holders([place_of(path) for path in paths])
    programs = sorted({f"{one.account} ({one.program})" for one in looked.holders})
    if programs:
        yield Remark(Word.OK, f"source {source}: open at this moment: {', '.join(programs[:5])}")
    if looked.unseen:
        yield Remark(
            Word.WAIT,
            f"source {source}: {looked.unseen} processes of other accounts do not show what they have open",
            "run banyan guard as an account that sees them, or close the programs of the brigade by hand",
        )
