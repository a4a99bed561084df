"""Every order of events of a small world: the program's rules hold in it, and each wrong decision is seen."""

import json
from dataclasses import replace

import pytest
import typer
from typer.testing import CliRunner

from banyan.errors import UsageError
from cli.protocol import protocol_app
from cutover.explorer import BASES, explore, find_stuck
from cutover.mutants import FIRST_SEVEN, MUTANTS, find_mutant
from cutover.protocol import PhaseNumber
from cutover.world import Bounds, Rules, State, Violation

FAST = [base for base in BASES if base.is_fast]
LARGE = [base for base in BASES if not base.is_fast]
NAMED_BY_THE_PROTOCOL = [
    *("NODRAIN", "POSBEFORE", "NOTOKEN", "FZOMBIE", "RZOMBIE", "REVLATE", "ECHO"),
    *("FLIPNOSEAL", "SEALNOLEASE", "ABORTEARLY", "FLIPNOEPOCH", "RECLOSE", "DOWNGRADE"),
    *("PHONEANY", "NOISOLATE", "NODETECT", "NOLATCH", "LAGWIT"),
]


def named(value):
    return value.name if hasattr(value, "name") else str(value)


@pytest.mark.parametrize("base", FAST, ids=named)
def test_the_programs_own_rules_hold_and_reach_live_and_the_way_back(base):
    found = explore(base.bounds)

    assert found.violation is None
    assert found.has_reached(PhaseNumber.LIVE)
    assert found.has_reached(PhaseNumber.SYNCING, rolled_back=True)
    assert found.has_reached(PhaseNumber.HALT) == bool(base.bounds.control_restores)
    assert base.is_proved_by(found)
    assert found.states > 40_000


@pytest.mark.torture
@pytest.mark.parametrize("base", LARGE, ids=named)
def test_the_programs_own_rules_hold_in_a_larger_world(base):
    found = explore(base.bounds)

    assert base.is_proved_by(found)
    assert found.states > 100_000


def test_the_eighteen_mutants_of_the_protocol_are_all_here_and_seven_come_first():
    assert [m.name for m in MUTANTS if m.killed_by and not m.is_extra] == NAMED_BY_THE_PROTOCOL
    assert [m.name for m in FIRST_SEVEN] == NAMED_BY_THE_PROTOCOL[:7]
    assert [m.name for m in MUTANTS if m.killed_by is None] == ["SEALNOTOKEN"]
    assert all(not m.bounds.verify for m in MUTANTS)


@pytest.mark.parametrize("mutant", [m for m in MUTANTS if m.killed_by], ids=named)
def test_a_wrong_decision_breaks_where_the_programs_rules_hold(mutant):
    found = explore(mutant.bounds, mutant.rules)

    assert found.violation is mutant.killed_by
    assert len(found.trace) >= 12


def test_a_seal_that_does_not_look_at_the_token_is_carried_by_the_other_conditions():
    mutant = find_mutant("SEALNOTOKEN")

    assert explore(mutant.bounds, mutant.rules).violation is None


@pytest.mark.parametrize("name", ["POSBEFORE", "REVLATE"])
def test_comparing_rows_inside_the_fence_stops_what_would_lose_a_write(name):
    mutant = find_mutant(name)

    compared = explore(mutant.bounds_compared, mutant.rules)

    assert compared.violation is None
    assert compared.has_reached(PhaseNumber.LIVE)


@pytest.mark.parametrize("name", ["NODRAIN", "ECHO", "FLIPNOSEAL"])
def test_comparing_rows_inside_the_fence_does_not_replace_the_other_conditions(name):
    mutant = find_mutant(name)

    assert explore(mutant.bounds_compared, mutant.rules).violation is Violation.LOST_WRITE


@pytest.mark.torture
@pytest.mark.parametrize("name", ["POSBEFORE", "REVLATE"])
def test_comparing_rows_stops_them_in_a_world_with_a_cut_and_a_death(name):
    mutant = find_mutant(name)

    compared = explore(Bounds(crashes=1, cuts=1, verify=True), mutant.rules)

    assert compared.violation is None
    assert compared.states > 100_000


@pytest.mark.torture
def test_a_seal_that_does_not_look_at_the_token_holds_in_a_larger_world():
    found = explore(Bounds(crashes=1), find_mutant("SEALNOTOKEN").rules)

    assert found.violation is None


@pytest.mark.torture
def test_a_started_store_without_its_latch_accepts_a_write_after_losing_some():
    found = explore(Bounds(attempts=1, rollbacks=0, control_restores=1, backups=1), find_mutant("NOLATCH").rules)

    assert found.violation is Violation.RESTORED_ACCEPTED


def test_everybody_can_write_again_unless_the_link_stays_cut_and_nobody_telephones():
    bounds = Bounds(writes=1, attempts=1, crashes=1, cuts=1)
    code = "a person opens the legacy fence with the code"

    assert find_stuck(bounds, without=("the link heals",)) == frozenset()
    assert find_stuck(bounds, without=("the link heals", code)) == {
        "SEALING SEALED",
        "ABORTING SEALED",
        "R_OPENING SEALED",
    }


def test_a_trace_is_a_shortest_one_told_from_the_first_event_with_two_names():
    mutant = find_mutant("FLIPNOSEAL")

    found = explore(mutant.bounds, mutant.rules)

    assert [moment.number for moment in found.trace] == list(range(1, 13))
    assert found.trace[-1].what.endswith("flip")
    assert found.trace[-1].after.legacy != found.trace[-1].after.canonical
    people = {moment.what.split()[0] for moment in found.trace if moment.what[1] == " "}
    assert people - {"a"} <= {"A", "B"}


def test_an_exploration_without_a_switch_sees_neither_live_nor_a_violation():
    found = explore(replace(Bounds(), attempts=0))

    assert found.violation is None
    assert {phase for phase, _ in found.reached} == {PhaseNumber.SYNCING}


def test_an_exploration_sees_a_defect_of_the_clients_world_at_once():
    def lose(s: State):
        if s.truth != (0, 0):
            yield "the canonical and the legacy values vanish", s._replace(legacy=(0, 0), canonical=(0, 0))

    found = explore(Bounds(attempts=0), Rules(happening=lose))

    assert found.violation is Violation.LOST_WRITE
    assert len(found.trace) == 3


def run(*arguments):
    app = typer.Typer()
    app.add_typer(protocol_app, name="protocol")
    return CliRunner().invoke(app, ["protocol", "check", *arguments])


def test_the_command_tells_the_shortest_trace_of_a_mutant_line_by_line():
    result = run("--mutant", "reclose")

    lines = result.stdout.splitlines()
    assert result.exit_code == 0
    assert lines[0] == "RECLOSE: one token may close again after its lease"
    assert lines[-2].split()[0] == "17"
    assert lines[-2].split()[-5:] == ["LIVE", "CANONICAL", "3", "SEALED", "2"]
    assert lines[-1].startswith("OK   lost write")


def test_the_command_gives_a_mutant_to_machines_as_one_document():
    document = json.loads(run("--mutant", "FLIPNOSEAL", "--json").stdout)

    assert document["result"] == "lost write"
    assert document["as_expected"] is True
    assert len(document["trace"]) == 12
    assert document["trace"][0] == {
        "number": 1,
        "what": "a switch is started",
        "phase": "FENCING",
        "owner": "LEGACY",
        "epoch": 2,
        "fence": "OPEN",
        "token": 1,
    }


def test_the_command_refuses_a_mutant_that_does_not_exist_and_names_those_that_do():
    result = run("--mutant", "NOBODY")

    assert isinstance(result.exception, UsageError)
    assert "RECLOSE" in result.exception.message
