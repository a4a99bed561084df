import itertools
import json
import shutil
import subprocess
from pathlib import Path

import pymysql
import pytest
from marels import PROJECT
from mariadbs import LegacyMariaDB
from projects import known_actor, run
from sqlalchemy.engine import make_url

import mappings
from banyan.ports import FenceKind, Incremental
from cli.grants import Rung
from cli.grants_mariadb import plan_mariadb_rung
from cli.printed_grants import printed_lines
from connectors.mariadb import open_mariadb
from connectors.mariadb_connection import ask
from estate.marel import generate_marel
from estate.marel_load import create_marel, load_marel
from mappings.ruleset import load_rulebook

__all__ = ["known_actor"]
pytestmark = pytest.mark.mariadb

_numbers = itertools.count(1)
BANYAN = ("banyan_reader", "banyan_reverse", "banyan_guard")


@pytest.fixture
def bare(mariadb):
    """A MAREL where nobody has granted anything yet; what a DBA would see."""
    made = LegacyMariaDB(mariadb, f"marel_grants_{next(_numbers)}")
    with pymysql.connect(host="127.0.0.1", port=mariadb.port, user="root", autocommit=True) as root:
        ask(root, f"create database {made.schema}")
    create_marel(made.url())
    made.run(*(f"drop user if exists {account}@'%'" for account in BANYAN))
    made.run(f"grant drop, alter on {made.schema}.* to marel_app@'%'")
    return made


@pytest.fixture
def plans(bare):
    book = load_rulebook(Path(mappings.__file__).parent / "rules" / "marel")

    def plan(rung):
        port = open_mariadb(bare.url(), bare.schema, tables=tuple(book.rulesets))
        try:
            return plan_mariadb_rung(rung, port, book, "35")
        finally:
            port.close()

    return plan


def through_client(bare, statements):
    """Run the printed text as a DBA does: through the client of the server."""
    done = subprocess.run(
        ["mariadb", "--no-defaults", "-uroot", "-h127.0.0.1", f"-P{bare.server.port}"],
        input="\n".join(printed_lines(statements)), text=True, check=False, capture_output=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def own(bare):
    """Tell what of ours stands on the server."""
    triggers = bare.run("show triggers")
    accounts = bare.run("select user from mysql.user where user like 'banyan%' and user <> 'banyan_owner'")
    databases = bare.run(f"show databases like 'banyan_{bare.schema}'")
    return len(triggers), sorted(user for (user,) in accounts), len(databases)


def test_each_rung_is_granted_and_undone_by_its_own_text(bare, plans):
    steps, kept = [], {}  # the page that a department keeps: what was granted, and how it is undone
    for rung in (Rung.R1, Rung.R2, Rung.R4):
        kept[rung] = plans(rung)
        through_client(bare, kept[rung].grant)
        with bare.port("log") as port:
            can = port.capabilities("objets")
            steps.append((port.count("objets"), can.incremental, can.fence.kind))
    assert steps == [
        (0, Incremental.NONE, FenceKind.NONE),
        (0, Incremental.LOG, FenceKind.NONE),
        (0, Incremental.LOG, FenceKind.ONLINE),
    ]
    kept[Rung.R3] = plans(Rung.R3)
    through_client(bare, kept[Rung.R3].grant)
    with bare.port("journal") as port:
        assert port.capabilities("objets").incremental is Incremental.JOURNAL
    rights = bare.run("show grants for marel_app@'%'")

    for rung in (Rung.R4, Rung.R3, Rung.R2, Rung.R1):
        through_client(bare, kept[rung].undo)

    assert not any("DROP" in line or "ALTER" in line for (line,) in rights if bare.schema in line)
    assert own(bare) == (0, [], 0)
    assert any("DROP" in line for (line,) in bare.run("show grants for marel_app@'%'"))


def test_rights_on_every_database_are_taken_by_the_fence_and_given_back_by_its_undo(bare, plans):
    through_client(bare, plans(Rung.R2).grant)
    bare.run(
        "create user vendeur@'%'", "grant all on *.* to vendeur@'%'", "create role dba", "grant drop on *.* to dba"
    )
    try:
        plan = plans(Rung.R4)
        through_client(bare, plan.grant)
        bare.run("insert into objets (id_objet) values (1)", account="vendeur")
        with pytest.raises(pymysql.MySQLError, match="DROP command denied"):
            bare.run("truncate table objets", account="vendeur")
        taken = [line for line in plan.grant if line.startswith("revoke") and "*.*" in line]
        through_client(bare, [line for line in plan.undo if "*.*" in line])
        bare.run("truncate table objets", account="vendeur")
        through_client(bare, plan.undo)
    finally:
        bare.run("drop user vendeur@'%'", "drop role dba")
        through_client(bare, plans(Rung.R2).undo)

    assert taken == [
        "revoke drop on *.* from 'dba'",
        "revoke drop, alter, trigger on *.* from 'vendeur'@'%'",
    ]


def test_rights_on_one_table_are_taken_by_the_fence_and_given_back_as_they_were(bare, plans):
    # the server gives the lines of an account in no order of its own
    accounts = ("vendeur@'%'", "batch@'10.0.0.%'", "archiviste@'%'", "dba")
    place = f"{bare.schema}.objets"
    through_client(bare, plans(Rung.R2).grant)
    bare.run(
        *(f"create user {account}" for account in accounts[:3]),
        "create role dba",
        f"grant select, insert, drop, alter on {place} to vendeur@'%' with grant option",
        f"grant select (id_objet), trigger, update (serie) on {place} to batch@'10.0.0.%'",
        f"grant drop, alter, create, index on {bare.schema}.suites to batch@'10.0.0.%'",
        f"grant select, insert, update on {bare.schema}.* to archiviste@'%' with grant option",
        f"grant drop on {place} to archiviste@'%'",
        f"grant alter on {place} to dba with grant option",
        f"create table {bare.schema}.brouillon (n int)",
        f"grant drop on {bare.schema}.brouillon to batch@'10.0.0.%'",
    )
    try:
        held = [sorted(bare.run(f"show grants for {account}")) for account in accounts]
        plan = plans(Rung.R4)
        through_client(bare, plan.grant)
        without = [sorted(bare.run(f"show grants for {account}")) for account in accounts]
        with pytest.raises(pymysql.MySQLError, match="DROP command denied"):
            bare.run("truncate table objets", account="vendeur")
        with bare.fence("35.vehicles") as fence:
            loose = [one.problem for one in fence.check_installed(["objets", "suites"]) if "holds" in one.problem]
        through_client(bare, plan.undo)
        again = [sorted(bare.run(f"show grants for {account}")) for account in accounts]
    finally:
        bare.run(*(f"drop user {account}" for account in accounts[:3]), "drop role dba")
        through_client(bare, plans(Rung.R2).undo)

    assert loose == []
    assert again == held
    assert all(before != after for before, after in zip(held, without, strict=True))
    told = " ".join(line.lower() for account in without for (line,) in account)
    assert "alter" not in told and "trigger" not in told
    assert [line for account in without for (line,) in account if "DROP" in line] == [
        f"GRANT DROP ON `{bare.schema}`.`brouillon` TO `batch`@`10.0.0.%`"
    ]


def test_a_plan_runs_nothing_and_says_what_cannot_be(bare, plans):
    told = {rung: plans(rung) for rung in Rung}

    assert own(bare) == (0, [], 0)
    assert "sql_log_bin" in told[Rung.R2].cannot
    assert "MEMORY" in told[Rung.R4].cannot and "MyISAM" not in told[Rung.R4].cannot
    assert all(plan.grant and plan.undo for plan in told.values())


@pytest.mark.server
def test_with_the_right_to_read_alone_a_department_is_loaded_followed_and_never_switched(
    bare, plans, make_database, tmp_path, capfd
):
    bare.run(f"drop database {bare.schema}", f"create database {bare.schema} character set utf8mb3")
    load_marel(generate_marel("XS", 1, "35"), bare.url())
    bare.run(*(f"drop user if exists {account}@'%'" for account in BANYAN))
    kept = plans(Rung.R1)
    through_client(bare, kept.grant)
    store = make_url(make_database())
    names = dict.fromkeys(("reverse", "guard", "admin"), "")
    text = PROJECT.format(port=store.port, store=store.database, schema=bare.schema, capture="snapshot",
                          reader=bare.url("banyan_reader"), application=bare.url("marel_app"), **names)  # fmt: skip
    (tmp_path / "banyan.yaml").write_text(text.replace("_url: \n", "_url: ''\n"))
    shutil.copytree(Path(mappings.__file__).parent / "rules" / "marel", tmp_path / "rules" / "marel")
    banyan = ["-C", str(tmp_path)]

    loaded = run([*banyan, "load", "35", "--json"])
    bare.run("update objets set serie = 'SEEN'", "delete from suites order by id_suite desc limit 1")
    capfd.readouterr()
    followed = run([*banyan, "sync", "run", "35", "--json"])
    told = json.loads(capfd.readouterr().out)
    planned = run([*banyan, "switch", "plan", "35.vehicles"])
    said = capfd.readouterr().err
    through_client(bare, kept.undo)

    assert (loaded, followed, planned) == (0, 0, 3)
    assert told["runs"][0]["tables"]["suites"]["rows"]["deleted"] == 1
    assert told["runs"][0]["tables"]["objets"]["rows"]["loaded"] > 5
    assert "is read one way from mariadb" in said
    assert own(bare)[1:] == ([], 0)
