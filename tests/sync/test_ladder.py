"""A department that grants more rights months after its first copy, or takes some back: nothing is lost or doubled."""

import itertools
import json
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from captured import ORION, CapturedProject, make_captured
from marels import MAREL, MarelWorkspace, make_marel
from projects import known_actor, make_project, run
from signing import make_signed_evidence
from sqlites import LegacyFile
from switches import order

import mappings
from banyan.config import PROJECT_FILE, load_project
from banyan.departments import Phase, Side, SourceRef
from cutover.judgement import subject_of
from cutover.switching import roll_back, switch
from estate.bureau import generate_bureau
from estate.bureau_load import write_bureau
from sync.assembly import open_rig
from validation.reconcile import reconcile

__all__ = ["known_actor"]
pytestmark = pytest.mark.server

_numbers = itertools.count(1)
CHILD = Path(__file__).parent / "dying_ladder.py"
BUREAU = """\
  "48":
    name: Lozère
    time_zone: Europe/Paris
    domains: [reference, cases, vehicles, custody]
    sources:
      BUREAU: {medium: sqlite, url: brigade.db, rules: rules/bureau}
"""
OTHERS = ("reverse_url", "fence_url", "admin_url", "application_url")
"""The accounts that a department which grants SELECT alone does not give."""


@dataclass
class Department:
    """A department whose project is edited, and its legacy system behind it."""

    source: SourceRef
    closure: str
    folder: Path
    write: object
    ask: object
    slots: object
    legacy: object
    whole: str

    def banyan(self, *arguments: str) -> int:
        return run(["-C", str(self.folder), *arguments])

    def says(self, capture: str, *, with_accounts: bool) -> None:
        """Let the project say how the source is followed, and with which accounts."""
        lines = [line for line in self.whole.splitlines() if not line.strip().startswith("capture:")]
        if not with_accounts:
            lines = [line for line in lines if not line.strip().startswith(OTHERS)]
        at = next(number for number, line in enumerate(lines) if line.strip().startswith("rules:"))
        lines.insert(at, f"        capture: {capture}")
        (self.folder / PROJECT_FILE).write_text("\n".join(lines) + "\n")

    def rig(self):
        return open_rig(MarelWorkspace(load_project(self.folder)), self.source)

    def differences(self) -> dict[str, tuple[str, int]]:
        """Compare both sides row by row, and the rows that are known with those that stand."""
        rig = self.rig()
        try:
            found = {}
            for one in rig.closures:
                judged = reconcile(subject_of(rig, one.name), watermark=None)
                if judged.level.state != "PASS" or judged.differences.height:
                    found[one.name] = (judged.level.state, judged.differences.height)
            return found
        finally:
            rig.close()
            rig.workspace.close()


def live(ask, table: str, count: int) -> list[str]:
    """Give the keys of some rows of a legacy table that the store holds."""
    found = ask(
        "select c.source_key from mig.crosswalk c join mig.source_table t using (department_code, source_table_no)"
        f" where t.table_name = '{table}' and c.deleted_at is null order by length(c.source_key), c.source_key"
        f" limit {count}"
    )
    return [key for (key,) in found]


def of_orion(cluster, folder) -> Department:
    made: CapturedProject = make_captured(cluster, folder / "project", "snapshot")
    numbers = itertools.count(900_000)

    def write() -> None:
        """Change one row that is carried, take one away, and add one beside it."""
        (thing,), (gone, here) = live(ask, "t_objet", 1), live(ask, "t_tel", 2)
        for text in (
            f"update orion.t_objet set descr = 'SEEN {next(numbers)}' where id_objet = {thing}",
            f"insert into orion.t_tel (id_tel, id_pers, num_tel, type_tel) select {next(numbers)}, id_pers,"
            f" '0612345678', 'M' from orion.t_tel where id_tel = {here}",
            f"delete from orion.t_tel where id_tel = {gone}",
        ):
            made.ask(made.legacy, text)

    def ask(query: str):
        return made.ask(made.store, query)

    def slots():
        return made.ask(
            made.legacy, "select count(*)::int from pg_replication_slots where database = current_database()"
        )

    def legacy(query: str):
        return made.ask(made.legacy, query)

    whole = (made.folder / PROJECT_FILE).read_text()
    whole += f"        application_url: {made.url(made.legacy, 'orion_app')}\n"
    return Department(ORION, "38.cases", made.folder, write, ask, slots, legacy, whole)


def of_marel(cluster, mariadb, folder) -> Department:
    name = f"ladder_{next(_numbers)}"
    made = make_marel(cluster, mariadb, folder / "project", capture="snapshot", name=name)
    made.close()
    made.marel.run(f"drop database if exists banyan_{made.marel.schema}")
    for (trigger,) in made.marel.run(
        f"select trigger_name from information_schema.triggers where trigger_schema = '{made.marel.schema}'"
        " and trigger_name like '%banyan%'"
    ):
        made.marel.run(f"drop trigger `{trigger}`")
    numbers = itertools.count(900_000)

    def write() -> None:
        """Change one row that is carried, take one away, and add one beside it."""
        (thing,), (gone, here) = live(made.ask_store, "objets", 1), live(made.ask_store, "vehicules", 2)
        columns = [name for (name,) in made.marel.run(
            f"select column_name from information_schema.columns where table_schema = '{made.marel.schema}'"
            " and table_name = 'vehicules' and column_name <> 'id_vehicule' order by ordinal_position"
        )]  # fmt: skip
        made.marel.run(
            f"update objets set serie = 'VU {next(numbers)}' where id_objet = {thing}",
            f"insert into vehicules (id_vehicule, {', '.join(columns)}) select {next(numbers)}, {', '.join(columns)}"
            f" from vehicules where id_vehicule = {here}",
            f"delete from vehicules where id_vehicule = {gone}",
        )

    folder = made.rig.workspace.project.folder
    return Department(
        MAREL, made.name, folder, write, made.ask_store, list, made.marel.run, (folder / PROJECT_FILE).read_text()
    )


@pytest.fixture(params=["orion", pytest.param("marel", marks=pytest.mark.mariadb)])
def department(request, cluster, tmp_path):
    """A department that granted SELECT and nothing else, loaded and followed so for a while."""
    if request.param == "orion":
        made = of_orion(cluster, tmp_path)
    else:
        made = of_marel(cluster, request.getfixturevalue("mariadb"), tmp_path)
    made.says("snapshot", with_accounts=False)
    assert made.banyan("load", made.source.department_code, "--json") == 0
    made.write()
    assert made.banyan("sync", "run", made.source.department_code, "--json") == 0
    return made


def told(department, capfd, *arguments):
    capfd.readouterr()
    code = department.banyan(*arguments)
    return code, capfd.readouterr()


@pytest.mark.parametrize("capture", ["log", pytest.param("journal", marks=pytest.mark.torture)])
def test_a_department_that_was_only_read_gains_its_fence_and_goes_there_and_back(department, capture, capfd):
    code = department.source.department_code
    department.write()

    department.says(capture, with_accounts=True)
    early, said = told(department, capfd, "sync", "run", code)
    unplanned, why = told(department, capfd, "switch", "plan", department.closure)
    looked, doctor = told(department, capfd, "doctor")
    done, account = told(department, capfd, "load", code, "--json")
    department.write()
    followed = department.banyan("sync", "run", code, "--json")

    assert (early, unplanned, looked) == (2, 2, 3)
    assert f"banyan.yaml says capture: {capture}" in why.err
    assert f"was followed with capture: snapshot until now, and banyan.yaml says capture: {capture}" in said.err
    assert f"followed with capture: snapshot until now, and banyan.yaml says capture: {capture}" in doctor.out
    assert (done, followed) == (0, 0)
    (carried,) = json.loads(account.out)["runs"]
    rows = carried["total"]["rows"]
    assert carried["is_balanced"]
    assert (rows["loaded"], rows["unchanged"] > 100) == (2, True)
    assert department.differences() == {}
    assert department.ask("select count(*) from mig.run where kind = 'LOAD'") == [(1,)]
    assert department.ask("select count(*) from mig.capture_gap") == [(0,)]
    fenced, doctor = told(department, capfd, "doctor")
    assert (fenced, doctor.out.count("OPEN")) == (0, len(department.rig().closures))
    assert there_and_back(department) == [(Phase.LIVE, Side.CANONICAL), (Phase.SYNCING, Side.LEGACY)]


def there_and_back(department) -> list:
    """Switch the closure and take it back, with evidence of the present moment."""
    rig, seen = department.rig(), []
    try:
        closure = rig.closure(department.closure)
        make_signed_evidence(rig, closure.name)
        for move in (switch, roll_back):
            move(rig, closure, order())
            row = rig.slices(closure.name)[0]
            seen.append((row.phase, row.owner))
    finally:
        rig.close()
        rig.workspace.close()
    return seen


@pytest.mark.parametrize(
    "step",
    [pytest.param("installed", marks=pytest.mark.torture), "first chunk",
     pytest.param("last chunk", marks=pytest.mark.torture)],
)  # fmt: skip
def test_whoever_dies_while_it_is_changed_over_loses_nothing(department, step, capfd):
    code = department.source.department_code
    department.write()
    department.says("log", with_accounts=True)

    died = subprocess.run(
        [sys.executable, str(CHILD), str(department.folder), str(department.source), step],
        check=False, capture_output=True, timeout=120,
    )  # fmt: skip
    department.write()
    early = department.banyan("sync", "run", code, "--json")
    done, _ = told(department, capfd, "load", code, "--json")
    department.write()
    followed = department.banyan("sync", "run", code, "--json")

    assert died.returncode == -signal.SIGKILL, died.stderr
    assert (early, done, followed) == (2, 0, 0)
    assert department.differences() == {}
    assert department.ask("select count(*) from mig.run where state <> 'DONE'") == [(0,)]
    assert department.ask("select count(*) from mig.capture_gap") == [(0,)]


@pytest.mark.parametrize("with_accounts", [True, pytest.param(False, marks=pytest.mark.torture)])
def test_a_department_that_takes_rights_back_is_looked_at_again(department, with_accounts):
    code = department.source.department_code
    department.says("log", with_accounts=True)
    assert department.banyan("load", code, "--json") == 0
    department.write()

    department.says("snapshot", with_accounts=with_accounts)
    done = department.banyan("load", code, "--json")
    department.write()
    followed = department.banyan("sync", "run", code, "--json")

    assert (done, followed) == (0, 0)
    assert department.differences() == {}
    if department.source is ORION:  # without an account that may, the text that undoes the rung takes the slot away
        assert [count for (count,) in department.slots()] == [0 if with_accounts else 1]


def test_how_a_source_is_followed_is_not_changed_while_the_new_side_owns(department, capfd):
    code = department.source.department_code
    department.says("log", with_accounts=True)
    assert department.banyan("load", code, "--json") == 0
    rig = department.rig()
    make_signed_evidence(rig, rig.closure(department.closure).name)
    switch(rig, rig.closure(department.closure), order())
    slots = department.slots()

    department.says("journal", with_accounts=True)
    refused, said = told(department, capfd, "load", code)

    assert refused == 3
    assert "how " in said.err and "is not changed meanwhile; nothing was installed, removed or read" in said.err
    assert "put capture: log back into banyan.yaml" in said.err
    assert department.slots() == slots
    department.says("log", with_accounts=True)
    roll_back(rig, rig.closure(department.closure), order())
    rig.close()
    rig.workspace.close()
    assert department.differences() == {}


@pytest.mark.torture
def test_rows_that_went_while_row_versions_were_followed_are_found_when_it_is_changed_over(cluster, tmp_path, request):
    department = of_orion(cluster, tmp_path)
    request.addfinalizer(lambda: department.legacy("revoke pg_read_all_stats from banyan_reader"))
    department.legacy("grant pg_read_all_stats to banyan_reader")
    department.says("row_version", with_accounts=False)
    assert department.banyan("load", "38", "--json") == 0
    (gone,) = live(department.ask, "t_tel", 1)
    department.legacy(f"delete from orion.t_tel where id_tel = {gone}")
    assert department.banyan("sync", "run", "38", "--json") == 0
    before = live(department.ask, "t_tel", 1)

    department.says("journal", with_accounts=True)
    done = department.banyan("load", "38", "--json")

    assert (before, done) == ([gone], 0)
    assert live(department.ask, "t_tel", 1) != [gone]
    assert department.differences() == {}


def test_a_file_that_was_only_read_gains_a_fence(cluster, tmp_path):
    made = make_project(cluster, tmp_path / "project")
    shutil.copytree(Path(mappings.__file__).parent / "rules" / "bureau", made.folder / "rules" / "bureau")
    files = write_bureau(generate_bureau("S", 1), tmp_path / "files")
    file = LegacyFile(Path(shutil.copy(next(one for one in files if one.stem == "480010"), made.folder / "brigade.db")))
    head = (made.folder / PROJECT_FILE).read_text().split('  "38":')[0]
    (made.folder / PROJECT_FILE).write_text(head + BUREAU)
    loaded = made.banyan("load", "48", "--json")
    file.run("update AFFAIRES set MEMO = 'entre deux' where ID = 1", "delete from AFFAIRES where ID = 2")

    made.write("url: brigade.db", "url: brigade.db, fence: triggers")
    early = made.banyan("sync", "run", "48", "--json")
    done = made.banyan("load", "48", "--json")
    file.run("update AFFAIRES set MEMO = 'après' where ID = 3")
    followed = made.banyan("sync", "run", "48", "--json")
    doctor = made.banyan("doctor")

    assert (loaded, early, done, followed, doctor) == (0, 2, 0, 0, 0)
    notes = made.ask(made.store, "select note_text from justice.case_file where note_text in ('entre deux', 'après')")
    assert sorted(text for (text,) in notes) == ["après", "entre deux"]
    known = "select source_key from mig.crosswalk where deleted_at is null and source_key in ('1', '2', '3')"
    assert ("2",) not in made.ask(made.store, f"{known} and source_table_no = (select min(source_table_no) from"
                                  " mig.source_table where table_name = 'AFFAIRES')")  # fmt: skip


def test_a_department_that_is_looked_at_gains_its_fence_and_is_looked_at_still(cluster, tmp_path, capfd):
    department = of_orion(cluster, tmp_path)
    department.says("snapshot", with_accounts=False)
    assert department.banyan("load", "38", "--json") == 0

    department.says("snapshot", with_accounts=True)
    before, _ = told(department, capfd, "doctor")
    done = [department.banyan("load", "38", "--json") for _ in range(2)]
    after, _ = told(department, capfd, "doctor")
    fenced = "select count(*), count(distinct closure) from mig.journal where kind = 'FENCED'"
    first = department.ask(fenced)

    department.legacy("update banyan.fence set nonce = gen_random_uuid()")  # as in a copy that was put back
    done.append(department.banyan("load", "38", "--json"))
    strange, said = told(department, capfd, "doctor")

    assert (before, done, after, strange) == (3, [0, 0, 0], 0, 3)
    assert first == department.ask(fenced) == [(5, 5)]
    assert "it belongs to another incarnation of this database" in said.out
