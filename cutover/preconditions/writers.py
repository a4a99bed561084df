"""Is everybody who writes in the old system known by name?"""

from datetime import timedelta

from banyan.clock import now
from banyan.errors import BanyanError
from cutover.declared import ROLLOUT_FILE, read_declarations
from cutover.preconditions.condition import Obstacle, Scene
from store.postgres import transaction
from store.watch import read_seen

REMEMBERED = timedelta(days=35)
"""A batch of the month's end has been seen once within it."""


def all_are_declared(scene: Scene) -> Obstacle | None:
    """Refuse when an account that nobody declared was seen writing, or able to write, in the last 35 days.

    Asked only where somebody has declared writers at all; `find_remarks` says when nobody has.
    """
    rig, source = scene.rig, scene.rig.source
    declared = read_declarations(rig.workspace.project.folder)
    if not declared.knows_writers_of(source):
        return None
    with transaction(rig.workspace.engine("banyan_guard")) as connection:
        remembered = read_seen(connection, source, since=now() - REMEMBERED)
    seen = {(writer.account, writer.table) for writer in remembered}
    try:
        present = rig.guarded.find_writers(rig.workspace.legacy_urls(source).guard, scene.closure.tables)
    except BanyanError as error:
        return Obstacle("writers", f"who writes in the old system cannot be seen: {error.message}", "banyan doctor")
    seen |= {(writer.account, writer.table) for writer in present}
    strangers = sorted(
        {
            account
            for account, table in seen
            if table in scene.closure.tables and not declared.is_declared(source, account, table)
        }
    )
    if not strangers:
        return None
    sentence = f"{', '.join(strangers)} writes in the old system, or may, and nobody has declared it"
    return Obstacle("writers", sentence, f"add it under `writers` in {ROLLOUT_FILE} with its owner, or take its rights")
