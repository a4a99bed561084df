"""The rungs of rights of a legacy PostgreSQL, as its administrator runs them: by the printed text, there and back."""

import subprocess
from pathlib import Path

import pytest
from captured import make_captured
from projects import known_actor
from sqlalchemy.engine import make_url

import mappings
from banyan.ports import FenceKind, Incremental
from cli.grants import Rung, plan_rung
from cli.printed_grants import printed_lines
from connectors.postgresql import open_postgresql
from connectors.row_version import open_row_version
from mappings.ruleset import load_rulebook
from wire.cluster import Cluster, ClusterPlace, Durability, cluster_home

pytestmark = [pytest.mark.server, pytest.mark.pg15]
__all__ = ["known_actor"]

BANYAN = ("banyan_reader", "banyan_reverse", "banyan_guard")


@pytest.fixture(scope="module")
def book():
    return load_rulebook(Path(mappings.__file__).parent / "rules" / "orion")


@pytest.fixture
def project(own):
    """The same, as nobody had granted anything."""
    yield own
    own.ask(own.legacy, "select pg_drop_replication_slot(slot_name) from pg_replication_slots")
    own.ask(own.legacy, "drop schema if exists banyan cascade")
    for role in BANYAN:
        if own.ask(own.legacy, "select 1 from pg_roles where rolname = :role", role=role):
            own.ask(own.legacy, f"drop owned by {role}; drop role {role}")


@pytest.fixture(scope="module")
def own(cluster, tmp_path_factory):
    """An ORION on a server of its own where nobody has granted banyan anything, not even an account."""
    folder = tmp_path_factory.mktemp("rungs")
    place = ClusterPlace(cluster_home(folder, "own"), Durability.THROWAWAY, binaries=Path("/usr/lib/postgresql/15/bin"))
    server = Cluster(place).start()
    made = make_captured(cluster, folder / "project", "snapshot", server)
    for role in BANYAN:
        made.ask(made.legacy, f"drop owned by {role}")
        made.ask(made.legacy, f"drop role {role}")
    yield made
    server.destroy()


def plan(project, book, rung, *, capture=None):
    """Plan as the administrator: the page is written before any account exists."""
    more = {} if capture is None else {"capture": capture}
    port = open_postgresql(project.url(project.legacy), "orion", **more)
    try:
        return plan_rung(rung, port, book, "38")
    finally:
        port.close()


def through_client(project, statements):
    address = make_url(project.url(project.legacy)).set(drivername="postgresql")
    done = subprocess.run(
        ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", address.render_as_string(hide_password=False)],
        input="\n".join(printed_lines(statements)), text=True, check=False, capture_output=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def found(project):
    """Tell everything of banyan on the server: accounts, memberships, rights, schema, triggers, slot, publication."""
    return project.ask(
        project.legacy,
        "select 'role', rolname::text, '' from pg_roles where rolname like 'banyan%'"
        " union all select 'member', m.member::regrole::text, m.roleid::regrole::text from pg_auth_members m"
        "   where m.member::regrole::text like 'banyan%'"
        " union all select 'right', c.oid::regclass::text, a.grantee::regrole::text || a.privilege_type"
        "   from pg_class c, aclexplode(c.relacl) a where a.grantee <> 0 and a.grantee::regrole::text like 'banyan%'"
        " union all select 'schema', nspname::text, '' from pg_namespace where nspname = 'banyan'"
        " union all select 'trigger', tgrelid::regclass::text, tgname::text from pg_trigger"
        "   where tgname like '%banyan%'"
        " union all select 'publication', pubname::text, '' from pg_publication"
        " union all select 'slot', slot_name::text, '' from pg_replication_slots order by 1, 2, 3",
    )


def test_each_rung_is_granted_and_undone_by_its_own_text_accounts_included(project, book):
    before = found(project)
    kept, seen = {}, {}
    for rung in (Rung.R1, Rung.R2, Rung.R3, Rung.R4):
        kept[rung] = plan(project, book, rung)
        through_client(project, kept[rung].grant)
        port = open_postgresql(project.url(project.legacy, "banyan_reader"), "orion")
        try:
            can = port.capabilities("t_fait")
            seen[rung] = (can.incremental, can.fence.kind, port.count("t_fait") > 0, len(found(project)))
        finally:
            port.close()

    left = {}
    for rung in (Rung.R4, Rung.R3, Rung.R2, Rung.R1):
        left[rung] = len(found(project))
        through_client(project, kept[rung].undo)

    none, journal = Incremental.NONE, Incremental.JOURNAL
    assert before == []
    assert [seen[rung][:3] for rung in seen] == [
        (none, FenceKind.NONE, True), (none, FenceKind.NONE, True),
        (journal, FenceKind.NONE, True), (journal, FenceKind.ONLINE, True),
    ]  # fmt: skip
    assert {rung: seen[rung][3] for rung in seen} == left
    assert found(project) == []


@pytest.mark.parametrize("rung", [Rung.R2, Rung.R3, Rung.R4])
def test_a_rung_alone_over_the_first_goes_back_to_the_first(project, book, rung):
    first, other = plan(project, book, Rung.R1), plan(project, book, rung)
    through_client(project, first.grant)
    before = found(project)

    through_client(project, other.grant)
    between = found(project)
    through_client(project, other.undo)

    after = found(project)
    through_client(project, first.undo)
    assert len(between) > len(before)
    assert after == before
    assert found(project) == []


def test_what_the_first_rung_needs_beside_tables_is_granted_where_changes_are_found_by_it(project, book):
    stamped = plan(project, book, Rung.R1, capture=open_row_version(tuple(book.rulesets), "dt_maj"))
    plain = plan(project, book, Rung.R1)

    through_client(project, stamped.grant)
    member = [name for kind, name, of in found(project) if kind == "member" and of == "pg_read_all_stats"]
    port = open_postgresql(
        project.url(project.legacy, "banyan_reader"), "orion", capture=open_row_version(("t_fait",), "dt_maj")
    )
    since = port.head()
    project.ask(project.legacy, "update orion.t_fait set elucide = elucide")
    told = port.changes(since)
    port.close()
    through_client(project, stamped.undo)

    assert member == ["banyan_reader"]
    assert len(told) >= 1
    assert not any(line.startswith("grant pg_read_all_stats") for line in plain.grant)
    assert found(project) == []


def test_where_policies_hide_rows_the_right_to_see_past_them_is_written(project, book):
    project.ask(project.legacy, "create policy unite on orion.t_fait using (false)")
    project.ask(project.legacy, "alter table orion.t_fait enable row level security")
    try:
        first, fence = plan(project, book, Rung.R1), plan(project, book, Rung.R4)
        through_client(project, first.grant)
        port = open_postgresql(project.url(project.legacy, "banyan_reader"), "orion")
        rows = port.count("t_fait")
        port.close()
        through_client(project, first.undo)
    finally:
        project.ask(project.legacy, "drop policy unite on orion.t_fait")
        project.ask(project.legacy, "alter table orion.t_fait disable row level security")

    said = "bypassrls   -- policies hide rows of t_fait"
    assert rows == project.ask(project.legacy, "select count(*) from orion.t_fait")[0][0] > 0
    assert f"alter role banyan_reader {said}" in first.grant
    assert f"alter role banyan_reverse {said}" in fence.grant
    assert not any("bypassrls" in line for line in plan(project, book, Rung.R1).grant)
    assert found(project) == []


@pytest.mark.torture
def test_with_the_right_to_read_alone_a_department_is_loaded_followed_and_never_switched(project, book, capfd):
    through_client(project, plan(project, book, Rung.R1).grant)
    page = project.folder / "banyan.yaml"
    others = ("reverse_url", "fence_url", "admin_url")
    page.write_text("\n".join(line for line in page.read_text().splitlines() if not line.strip().startswith(others)))

    loaded = project.banyan("load", "38", "--json")
    project.ask(project.legacy, "delete from orion.t_tel where id_tel = (select max(id_tel) from orion.t_tel)")
    project.ask(project.legacy, "update orion.t_objet set descr = 'SEEN'")
    followed = project.banyan("sync", "run", "38", "--json")
    capfd.readouterr()
    planned = project.banyan("switch", "plan", "38.cases", "--json")
    said = capfd.readouterr().out
    looked = project.banyan("doctor")
    status = project.banyan("sync", "status")
    swept = project.banyan("sync", "sweep", "38.ORION.t_tel", "--json")

    assert (loaded, followed, planned, looked, status, swept) == (0, 0, 3, 0, 0, 0)
    assert "is read one way from postgresql: nothing is written back to it" in said
    assert project.differences() == {}
    assert [row for row in found(project) if row[0] in ("schema", "trigger", "slot")] == []
