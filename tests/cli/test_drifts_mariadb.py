"""Drift of a legacy MariaDB, met by `banyan sync run`: each kind of change under each policy, by real statements."""

from dataclasses import dataclass

import pytest
from marels import make_marel
from projects import known_actor, run

from cutover.judgement import subject_of
from validation.reconcile import reconcile

__all__ = ["known_actor"]
pytestmark = [pytest.mark.mariadb, pytest.mark.server]
EXPIRED, OPEN = "{policy: ignore, until: 2020-01-01}", "{policy: ignore, until: 2999-01-01}"


@dataclass(frozen=True)
class Change:
    """A change of the old system: its name in banyan.yaml, how it is made and taken back, how it is told."""

    kind: str
    made: str
    undone: str
    told: str
    may_be_quarantined: bool = True


CHANGES = (
    Change(
        "added",
        "alter table objets add column couleur varchar(10)",
        "alter table objets drop column couleur",
        "added: objets.couleur is new and has no fate (varchar(10))",
    ),
    Change(
        "removed",
        "alter table personnes drop column religion",
        "alter table personnes add column religion varchar(20) after telephone",
        "removed: personnes.religion is gone",
        may_be_quarantined=False,
    ),
    Change(
        "retyped",
        "alter table objets modify column quantite varchar(12)",
        "alter table objets modify column quantite int",
        "retyped: objets.quantite was int(11) and is varchar(12)",
    ),
    Change(
        "widened",
        "alter table objets modify column etat enum('vole','saisi','retrouve','restitue','detruit','prete')",
        "alter table objets modify column etat enum('vole','saisi','retrouve','restitue','detruit')",
        "widened: objets.etat was enum('vole','saisi','retrouve','restitue','detruit') and is",
    ),
)


@pytest.fixture(scope="module")
def world(cluster, mariadb, tmp_path_factory):
    """A loaded MAREL that is followed by its log; each test leaves it as it was agreed."""
    folder = tmp_path_factory.mktemp("drifting") / "project"
    world = make_marel(cluster, mariadb, folder, capture="log", name="marel_drifting")
    assert run(["-C", str(folder), "load", "35"]) == 0
    yield world
    world.close()


def policy(world, text):
    """Say what drift leads to, in place of what was said before."""
    path = world.rig.workspace.project.folder / "banyan.yaml"
    lines = [line for line in path.read_text().splitlines() if "drift:" not in line]
    path.write_text("\n".join([*lines, *([f"        drift: {text}"] if text else [])]) + "\n")


def sync(world, capfd):
    """Run the command; gives its exit code and all it said."""
    capfd.readouterr()
    code = run(["-C", str(world.rig.workspace.project.folder), "sync", "run", "35"])
    out = capfd.readouterr()
    return code, f"{out.out}{out.err}"


def write(world, serial):
    """Let a person change one row."""
    world.marel.run(f"update objets set serie = '{serial}' order by id_objet limit 1")


def kept(world):
    """Give what a stop must leave as it was: every item and the Position of the store."""
    items = world.ask_store("select id, serial_number from justice.item where department_code = '35' order by id")
    return items, world.ask_store("select position, run_no from mig.watermark"), world.ask_store(
        "select count(*) from mig.run"
    )  # fmt: skip


def has(world, serial):
    return (serial,) in world.ask_store("select serial_number from justice.item where department_code = '35'")


def differences(world):
    """Compare both sides row by row; everything equal gives {}."""
    found = {}
    for closure in world.rig.closures:
        judged = reconcile(subject_of(world.rig, closure.name), watermark=None)
        if judged.differences.height or judged.level.state != "PASS":
            found[closure.name] = (judged.level.state, judged.differences)
    return found


def stopped(world, capfd, told):
    """Run into a stop: nothing is carried, nothing is opened; gives what was said."""
    before = kept(world)
    code, said = sync(world, capfd)
    assert code == 3, said
    assert told in said
    assert "nothing was read" in said
    assert kept(world) == before
    return said


@pytest.mark.parametrize("change", CHANGES, ids=[one.kind for one in CHANGES])
def test_a_column_of_a_mariadb_that_changed_leads_to_what_the_project_says(world, capfd, change):
    world.marel.run(change.made)
    try:
        for stopping in ("stop", EXPIRED):
            policy(world, f"{{{change.kind}: {stopping}}}")
            write(world, f"KEPT {change.kind}")
            said = stopped(world, capfd, change.told)
            assert ".yaml:" in said  # the lines of the rules it touches
        policy(world, f"{{{change.kind}: {OPEN}}}")
        ignored, said = sync(world, capfd)
        assert (ignored, has(world, f"KEPT {change.kind}")) == (0, True), said
        assert f"WAIT  {change.told}" in said and "(ignore)" in said
        policy(world, f"{{{change.kind}: quarantine}}")
        write(world, f"WAITS {change.kind}")
        waiting, said = sync(world, capfd)
        if change.may_be_quarantined:
            assert (waiting, has(world, f"WAITS {change.kind}")) == (0, True), said
            assert f"WAIT  {change.told}" in said and "(quarantine)" in said
        else:
            assert (waiting, has(world, f"WAITS {change.kind}")) == (2, False)
    finally:
        world.marel.run(change.undone)
        policy(world, "")
    write(world, f"AFTER {change.kind}")
    assert sync(world, capfd)[0] == 0
    assert has(world, f"AFTER {change.kind}")
    assert differences(world) == {}


def test_values_of_an_added_column_wait_in_quarantine_and_go_with_it(world, capfd):
    listed = "select count(*) from mig.quarantine where column_name = 'couleur' and state = 'OPEN'"
    policy(world, "{added: quarantine}")
    world.marel.run("alter table objets add column couleur varchar(10)")
    try:
        world.marel.run("update objets set couleur = 'mauve', serie = 'MAUVE' order by id_objet limit 1")
        code, said = sync(world, capfd)
        waiting = world.ask_store(listed)
    finally:
        world.marel.run("alter table objets drop column couleur")
        policy(world, "")
    write(world, "WITHOUT")
    again, _ = sync(world, capfd)

    assert (code, has(world, "WITHOUT"), again) == (0, True, 0)
    assert "mauve" not in said
    assert (waiting, world.ask_store(listed)) == ([(1,)], [(0,)])
    assert differences(world) == {}


def test_a_column_that_a_rule_reads_is_missed_whatever_the_project_says(world, capfd):
    policy(world, f"{{removed: {OPEN}}}")
    world.marel.run("alter table objets rename column description to ancienne")
    try:
        stopped(world, capfd, "removed: objets.description is gone")
    finally:
        world.marel.run("alter table objets rename column ancienne to description")
        policy(world, "")
    assert sync(world, capfd)[0] == 0
    assert differences(world) == {}


def test_a_new_code_stops_where_it_must_or_has_expired_and_waits_in_quarantine_else(world, capfd):
    waiting = "select count(*) from mig.quarantine where column_name = 'categorie' and state = 'OPEN'"
    ((kept_code,),) = world.marel.run("select categorie from objets order by id_objet limit 1")
    ((before,),) = world.ask_store(waiting)
    world.marel.run("update objets set categorie = 'DRONE', serie = 'CODE' order by id_objet limit 1")
    try:
        for stopping in ("stop", EXPIRED):
            policy(world, f"{{new_codes: {stopping}}}")
            said = stopped(world, capfd, "new codes: objets.categorie holds ")
            assert "ITEM_CATEGORY" in said
        carried = []
        for tolerant in (OPEN, "quarantine"):
            policy(world, f"{{new_codes: {tolerant}}}")
            code, _ = sync(world, capfd)
            carried.append((code, has(world, "CODE"), world.ask_store(waiting)))
    finally:
        world.marel.run(f"update objets set categorie = '{kept_code}' order by id_objet limit 1")
        policy(world, "")
    again, _ = sync(world, capfd)

    assert carried == [(0, True, [(before + 1,)])] * 2
    assert (again, world.ask_store(waiting)) == (0, [(before,)])
    assert differences(world) == {}
