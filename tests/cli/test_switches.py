"""`banyan switch` and `banyan guard` on an embedded project: what people read, and the exit codes."""

import json
import os
import re

import pytest
import sqlalchemy as sa
from signing import make_signed_evidence

from cli.estate_projects import create_estate_project
from cli.main import run
from sync.workspace import Workspace
from wire.cleanup import destroy_clusters

pytestmark = [pytest.mark.server, pytest.mark.journey]
NAME = "38.cases+vehicles"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An estate on embedded servers, its first copy made."""
    made = tmp_path_factory.mktemp("estate") / "isere"
    before = os.environ.get("BANYAN_ACTOR")
    os.environ["BANYAN_ACTOR"] = "eva"
    create_estate_project(made, "XS", 1)
    assert run(["-C", str(made), "load", "38"]) == 0
    yield made
    destroy_clusters(made)
    if before is None:
        del os.environ["BANYAN_ACTOR"]
    else:
        os.environ["BANYAN_ACTOR"] = before


@pytest.fixture
def banyan(folder, capsys):
    """Run a command; gives its exit code, what it said and what it complained of."""

    def command(*arguments):
        capsys.readouterr()
        code = run(["-C", str(folder), *arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return command


def workspace(folder):
    from banyan.config import load_project

    return Workspace(load_project(folder))


def on_server(folder, name, database, statement, **bound):
    engine = sa.create_engine(workspace(folder).cluster(name).url(database), poolclass=sa.pool.NullPool)
    with engine.begin() as connection:
        found = connection.execute(sa.text(statement), bound)
        return found.fetchall() if found.returns_rows else []


def signed(folder):
    from banyan.departments import SourceRef
    from sync.assembly import open_rig

    place = workspace(folder)
    rig = open_rig(place, SourceRef("38", "ORION"))
    make_signed_evidence(rig, NAME)
    rig.close()
    place.close()


def test_a_closure_goes_and_comes_back_by_the_commands_of_a_night(banyan, folder):
    code, said, _ = banyan("switch", "plan", "38.cases")
    assert code == 3
    assert "PLAN  38.cases + 38.vehicles -> CANONICAL        nothing has been touched" in said
    assert f"missing  nothing proves yet that {NAME} was copied exactly" in said
    assert said.splitlines()[-1] == f"next  banyan validate run {NAME}"

    code, _, complained = banyan("switch", "run", "38.cases")
    assert code == 3
    assert complained.startswith(f"NO   {NAME} was not switched: 1 thing in the way. Nothing was touched")

    signed(folder)
    code, said, _ = banyan("switch", "plan", "38.vehicles", "--json")
    planned = json.loads(said)
    assert (code, planned["obstacles"], planned["closure"]) == (0, [], NAME)
    assert [step["name"] for step in planned["steps"]] == ["close", "drain", "verify", "seal", "flip", "open"]

    code, said, _ = banyan("switch", "run", "38.cases")
    lines = said.splitlines()
    assert code == 0
    assert [re.sub(r" +", " ", line).split(" DONE ")[0].strip() for line in lines[1:7]] == [
        "1 close the old side", "2 drain", "3 verify changed rows", "4 seal", "5 flip", "6 open the new side",
    ]  # fmt: skip
    assert re.fullmatch(r"Nobody could write for \d+ ms \(expected \d+ ms\)\.", lines[7])
    assert f"plan {planned['digest'][:4]}…" in said

    code, said, _ = banyan("switch", "status", "38.cases")
    assert (code, said.splitlines()[0]) == (0, "new side OPEN  38.cases + 38.vehicles")

    code, said, _ = banyan("switch", "abort", "38.cases")
    assert code == 3

    code, _, complained = banyan("break", "lost-row", "38.cases")
    assert code == 2
    assert f"the new system owns {NAME}" in complained

    code, said, _ = banyan("switch", "rollback", "38.cases", "--json")
    told = json.loads(said)
    assert (code, told["owner"], told["was_done_before"]) == (0, "LEGACY", False)

    code, said, _ = banyan("switch", "rollback", "38.cases")
    assert code == 0
    assert "It was done before: owner LEGACY" in said

    code, said, _ = banyan("guard", "--once")
    assert code == 0
    assert said.splitlines() == [
        "ok         38.cases + 38.vehicles  SYNCING, owner LEGACY",
        "ok         38.custody  SYNCING, owner LEGACY",
        "ok         38.documents  SYNCING, owner LEGACY",
        "ok         38.logbook  SYNCING, owner LEGACY",
        "ok         38.reference  SYNCING, owner LEGACY",
    ]


def test_an_old_side_that_is_not_the_known_one_is_exit_5_and_a_human(banyan, folder):
    (before,) = on_server(folder, "legacy", "orion", "select nonce from banyan.fence where closure = :c", c=NAME)
    on_server(folder, "legacy", "orion", "update banyan.fence set nonce = gen_random_uuid() where closure = :c", c=NAME)

    status, said, _ = banyan("switch", "status", "38.cases")
    guard, watched, _ = banyan("guard", "--once")
    on_server(folder, "legacy", "orion", "update banyan.fence set nonce = :n where closure = :c", c=NAME, n=before[0])

    assert (status, guard) == (5, 5)
    assert "UNCERTAIN  the old system is not the one banyan knows: restored, or worked by another hand" in said
    assert said.splitlines()[-1] == "next  call the duty engineer"
    assert watched.startswith("UNCERTAIN  38.cases + 38.vehicles")


def test_a_closure_that_is_not_there_is_a_wrong_call(banyan):
    code, _, complained = banyan("switch", "run", "38.weather")

    assert code == 2
    assert "there is no closure 38.weather" in complained


def test_the_words_of_two_persons_ask_for_a_role_and_for_a_need(banyan):
    stranger = banyan("switch", "complete", "38.cases", "--as", "lead")
    unknown = banyan("switch", "reconcile", "38.cases", "--keep", "both", "--as", "lead")
    code = banyan("switch", "code", "38.cases")

    assert (stranger[0], unknown[0], code[0]) == (2, 2, 3)
    assert "does not hold the role lead" in stranger[2]
    assert "there is no side both" in unknown[2]
    assert "nothing is opened by telephone before an abort" in code[2]


def test_the_unit_of_the_guard_is_printed_and_nothing_is_started(banyan, folder):
    code, said, _ = banyan("guard", "--print-unit")

    assert code == 0
    assert f"-C {folder.resolve()} guard" in said
