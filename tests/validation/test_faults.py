"""Each fault that hurt real migrations is found, and the record named, by the level that should find it."""

from dataclasses import replace
from shutil import copytree

import polars as pl
import pytest
from judged import judged, subject_of, watermark_of
from stores import make_store, store_template
from test_open_work import parity
from test_tripwire import fold, wire
from worlds import DOMAINS, RULES

from banyan.findings import FindingKind, LevelState
from estate.faults import LEVEL, SEATS, Fault, FaultKind, exchange_codes, seed_fault, undo_fault
from mappings.closure import canonical_slices, closure
from mappings.ruleset import load_rulebook
from store.postgres import transaction
from validation.open_work import CANONICAL_ONLY, LEGACY_ONLY, open_work_level
from validation.reconcile import reconcile

__all__ = ["judged", "make_store", "store_template"]

pytestmark = pytest.mark.server
BOOK = load_rulebook(RULES)
CLOSURE = next(found for found in closure(BOOK, "38") if "cases" in found.domains)
TABLES = canonical_slices(BOOK, CLOSURE)
BY_L4 = [kind for kind, level in LEVEL.items() if level == "L4"]
CAUSE = {
    FaultKind.LOST_ROW: ("MISSING_IN_CANONICAL", None, "no record in canonical"),
    FaultKind.DOUBLED_ROW: ("MISSING_IN_LEGACY", None, "no legacy row is known"),
    FaultKind.SWAPPED_COLUMN: ("DIFFERS", "surname", "other value"),
    FaultKind.TRUNCATED_TEXT: ("DIFFERS", "street_name", "cut"),
    FaultKind.SHIFTED_ZONE: ("DIFFERS", "occurred_from", "instant differs"),
}


@pytest.fixture(scope="module")
def folded(judged):
    fold(judged)
    return judged


@pytest.fixture
def seeded(folded):
    """Seed a fault as the forward applier's account, and put it right afterwards."""
    seeds: list[Fault] = []
    engine = folded.place.engine("banyan_forward")

    def seed(kind: FaultKind) -> Fault:
        with transaction(engine) as connection:
            fault = seed_fault(connection, kind, CLOSURE, tables=TABLES)
        assert fault is not None
        seeds.append(fault)
        return fault

    yield seed
    for fault in seeds:
        with transaction(engine) as connection:
            undo_fault(connection, Fault.from_text(fault.as_text()))


def found_by_l4(world):
    return reconcile(subject_of(world), watermark=watermark_of(world))


@pytest.mark.parametrize("kind", BY_L4, ids=str)
def test_l4_names_the_record_the_column_and_the_cause(folded, seeded, kind):
    fault = seeded(kind)

    found = found_by_l4(folded)

    named = found.differences.filter(pl.col("id").bin.encode("hex").is_in([i.replace("-", "") for i in fault.ids]))
    expected_kind, column, cause = CAUSE[kind]
    assert found.level.state is LevelState.FAIL
    assert named["canonical_table"].unique().to_list() == [fault.table]
    assert (expected_kind, column, cause) in named.select("kind", "column", "cause").rows()
    assert named["id"].n_unique() == len(fault.ids)
    assert found.differences["id"].n_unique() == len(fault.ids), "and nothing else"


def test_a_record_changed_behind_our_back_is_named_by_l3(folded, seeded):
    fault = seeded(FaultKind.ROGUE_UPDATE)

    found = wire(folded)

    assert found.level.state is LevelState.FAIL
    assert [(each.kind, each.table, each.key) for each in found.level.findings] == [
        (FindingKind.FOREIGN_WRITE, "person_identity", fault.ids[0].replace("-", ""))
    ]


def test_a_code_map_that_is_wrong_twice_in_the_same_way_passes_l4_and_is_named_by_l5(folded, seeded, tmp_path):
    fault = seeded(FaultKind.WRONG_CODE_MAP)
    copytree(RULES, tmp_path / "rules")
    assert exchange_codes(tmp_path / "rules" / "code_maps.yaml")
    wrong = replace(folded, book=load_rulebook(tmp_path / "rules"))

    same_rules_twice = found_by_l4(wrong)
    behaviour = open_work_level(parity(folded))

    assert same_rules_twice.level.state is LevelState.PASS, "the same code maps both times"
    assert behaviour.state is LevelState.FAIL
    assert {each.cause for each in behaviour.findings} == {
        f"open cases: {LEGACY_ONLY}", f"open cases: {CANONICAL_ONLY}"
    }  # fmt: skip
    on_canonical_only = {each.key for each in behaviour.findings if each.cause.endswith(CANONICAL_ONLY)}
    assert on_canonical_only <= set(fault.ids)


def test_what_is_put_right_is_found_no_more(folded):
    assert found_by_l4(folded).level.state is LevelState.PASS
    assert wire(folded).level.state is LevelState.PASS
    assert open_work_level(parity(folded)).state is LevelState.PASS


def test_every_fault_has_the_level_that_should_find_it_and_the_codes_are_those_of_the_rules():
    assert set(LEVEL) == set(FaultKind)
    assert set(SEATS) | {FaultKind.RESTORED_BACKUP} == set(FaultKind)
    assert CLOSURE.domains == DOMAINS == ("cases", "vehicles")


@pytest.mark.parametrize("flavour", ["orion", "marel", "bureau"])
def test_the_codes_that_are_exchanged_are_those_of_the_shipped_rules_and_come_back_to_the_byte(flavour, tmp_path):
    shipped = (RULES.parent / flavour / "code_maps.yaml").read_bytes()
    path = tmp_path / "code_maps.yaml"
    path.write_bytes(shipped)

    exchanged = exchange_codes(path)
    wrong = path.read_bytes()
    undone = exchange_codes(path, is_undone=True)

    assert (exchanged, undone) == (True, True)
    assert sorted(wrong) == sorted(shipped) != wrong != shipped
    assert path.read_bytes() == shipped


@pytest.mark.parametrize("kind", [kind for kind in SEATS], ids=str)
def test_a_fault_is_seeded_only_in_records_that_the_closure_owns(folded, seeded, kind):
    fault = seeded(kind)

    owners = folded.place.run(
        f"select distinct domain_code from justice.{fault.table} where id = any(%s::uuid[])", (list(fault.ids),)
    )
    assert fault.closure == CLOSURE.name
    assert fault.table in TABLES
    assert {one for (one,) in owners} <= set(CLOSURE.domains)
