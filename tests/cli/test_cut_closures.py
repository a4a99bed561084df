"""Nothing acts on a part of a closure: a configuration, a calendar or a name that cuts one is refused, and told why."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

import mappings
from banyan.config import load_project
from banyan.departments import Closure, SourceRef
from banyan.errors import BanyanError, ConfigurationError, SwitchRefused, UsageError
from cli.main import run
from cutover.rollout.assembly import assemble_rollout
from mappings.closure import closure, find_cut, find_whole, refuse_part
from mappings.ruleset import load_rulebook
from sync.assembly import Rig
from sync.reverse import ReverseLane
from sync.workspace import opened

ORION = Path(mappings.__file__).parent / "rules" / "orion"
CLOSURES = closure(load_rulebook(ORION), "38")
PROJECT = """\
project: test
departments:
  "38":
    name: Isère
    time_zone: Europe/Paris
    domains: [{domains}]
    sources:
      ORION:
        medium: postgresql
        url: postgresql+psycopg://nobody@127.0.0.1:1/nothing
        schema: orion
        rules: rules/orion
"""
ROLLOUT = """\
rollout:
  starts_on: 2026-09-01
  teams: [{name: north}]
  waves: [{number: 1, team: north, departments: ["38"]}]
"""


@pytest.fixture
def project(tmp_path):
    """A project whose department lists these domains, and perhaps a calendar."""

    def make(domains: str, rollout: str = "") -> Path:
        shutil.copytree(ORION, tmp_path / "rules" / "orion")
        (tmp_path / "banyan.yaml").write_text(PROJECT.format(domains=domains), encoding="utf-8")
        (tmp_path / "rollout.yaml").write_text(ROLLOUT + rollout, encoding="utf-8")
        return tmp_path

    return make


def rig_of_orion() -> Rig:
    return Rig(None, SourceRef("38", "ORION"), None, load_rulebook(ORION), CLOSURES, {})


def test_domains_of_a_configuration_that_cut_a_closure_are_refused_before_any_server_is_asked(project, capfd):
    assert run(["-C", str(project("reference, cases")), "load", "38"]) == 2

    told = capfd.readouterr().err
    assert "banyan.yaml lists a part of 38.cases+vehicles under domains of 38" in told
    assert "t_personne is read by more than one of its domains; nothing was changed" in told
    assert "banyan map closure 38" in told


@pytest.mark.parametrize(
    ("listed", "cut"),
    [
        (["cases"], "38.cases+vehicles"),
        (["vehicles", "reference"], "38.cases+vehicles"),
        (["cases", "vehicles"], None),
        (["reference", "logbook"], None),
        ([], None),
    ],
)
def test_a_list_of_domains_holds_each_closure_whole_or_not_at_all(listed, cut):
    found = find_cut(CLOSURES, listed)

    assert (found.name if found else None) == cut


def test_one_domain_stands_for_its_whole_closure_and_the_closure_is_what_moves():
    assert rig_of_orion().closure("38.cases").name == "38.cases+vehicles"
    assert rig_of_orion().closure("38.cases+vehicles").domains == ("cases", "vehicles")


@pytest.mark.parametrize("named", ["38.cases+logbook", "38.vehicles+documents+custody"])
def test_a_name_that_cuts_a_closure_is_refused_with_the_tables_it_shares(named):
    with pytest.raises(SwitchRefused, match=r"38\.cases\+vehicles moves as a whole: t_personne is read by") as told:
        rig_of_orion().closure(named)

    assert told.value.hint == "banyan map closure 38"
    assert told.value.facts["shared"] == ("t_personne",)


def test_a_part_of_three_domains_is_refused_by_the_name_of_the_whole():
    three = Closure("38", ("cases", "logbook", "vehicles"), ("t_mainc", "t_personne"), ("t_mainc", "t_personne"))
    rig = Rig(None, SourceRef("38", "ORION"), None, load_rulebook(ORION), (three,), {})

    with pytest.raises(SwitchRefused, match=r"38\.cases\+logbook\+vehicles moves as a whole: t_mainc, t_personne"):
        rig.closure("38.cases+vehicles")
    assert find_whole([three], ["cases", "logbook", "vehicles"]) is None


def test_a_name_that_no_rule_knows_is_another_error():
    with pytest.raises(UsageError, match=r"there is no closure 38\.nothing; 38 has 38\.cases"):
        rig_of_orion().closure("38.nothing")


@pytest.mark.parametrize("domains", [("cases",), ("vehicles",), ("cases", "documents")])
def test_the_way_back_carries_no_part_whoever_puts_it_together(domains):
    setting = SimpleNamespace(book=load_rulebook(ORION), department=SimpleNamespace(code="38"))

    with pytest.raises(SwitchRefused, match="t_personne is read by more than one of its domains; nothing was carried"):
        ReverseLane(setting, None, lambda: None, Closure("38", domains, ("t_personne",), ()))


def test_what_spans_whole_closures_only_is_told_from_what_cuts_one():
    refuse_part(CLOSURES, "38", ["cases", "vehicles"], untouched="nothing was touched")

    with pytest.raises(SwitchRefused):
        refuse_part(CLOSURES, "38", ["reference", "logbook"], untouched="nothing was touched")


@pytest.mark.parametrize(
    ("rollout", "said"),
    [
        (
            '  departments: {"38": {name: Isère, closures: [[reference], [cases], [vehicles]]}}\n',
            "rollout.yaml says that 38 moves as 38.reference, 38.vehicles, 38.cases, its rules .*t_personne is read",
        ),
        (
            "  after: {38.logbook: [38.cases]}\n",
            "rollout.after names 38.cases, which is not a closure; its rules move 38.cases.vehicles at .*t_personne",
        ),
    ],
)
def test_a_calendar_that_cuts_a_closure_is_refused_with_the_tables_it_shares(project, rollout, said):
    folder = project("cases, vehicles", rollout)

    with pytest.raises(ConfigurationError, match=said) as told, opened(load_project(folder)) as workspace:
        assemble_rollout(workspace)
    assert "nothing was planned" in str(told.value)
    assert told.value.hint


def test_a_decided_date_of_a_part_is_a_conflict_that_names_the_tables(project, capfd):
    folder = project("cases, vehicles", "  decided: {38.vehicles: 2026-12-03}\n")

    assert run(["-C", str(folder), "rollout", "check"]) == 3

    told = " ".join(capfd.readouterr().out.split())
    assert "38.vehicles is not a closure; its rules move 38.cases+vehicles at once (t_personne in common)" in told


def test_every_refusal_of_a_cut_is_an_error_of_banyan_with_a_next_command():
    with pytest.raises(BanyanError) as told:
        refuse_part(CLOSURES, "38", ["cases"], untouched="nothing was touched")

    assert told.value.hint == "banyan map closure 38"
