"""Evidence is kept under its own identifier: the same inputs are the same evidence, anything else another one."""

import dataclasses
from datetime import timedelta

import pytest
from projects import known_actor
from signing import invented_facts
from switches import NAME, SwitchWorld, switch_world

from banyan.clock import now
from banyan.findings import Verdict, VerdictKind
from banyan.records import Position
from cutover.keeping import keep
from store.judgements import EvidenceEntry
from validation.facts import EvidenceFacts, Positions

pytestmark = pytest.mark.server
__all__ = ["known_actor", "switch_world"]


def entry_of(facts: EvidenceFacts, evidence_id: str, *, hours: int = 24, previous_id: str | None = None):
    """What the store remembers of evidence."""
    return EvidenceEntry(
        evidence_id, facts.department.code, NAME, facts.profile.name, Verdict(VerdictKind.AWAITING, ()),
        Position(facts.positions.legacy), Position(facts.positions.canonical), "", previous_id,
        now() + timedelta(hours=hours),
    )  # fmt: skip


def later(world: SwitchWorld, facts: EvidenceFacts, **changes: object) -> EvidenceFacts:
    """The same measured some time later: both sides stand elsewhere."""
    positions = Positions(world.rig.port.head(), f"{facts.positions.canonical}, later")
    return dataclasses.replace(facts, positions=positions, measured_at=now(), **changes)


def test_the_same_measured_again_is_the_same_evidence_as_old_as_it_was(switch_world):
    facts = invented_facts(switch_world.rig, NAME)
    first, _ = keep(switch_world.rig, facts, None)

    again, kept = keep(switch_world.rig, later(switch_world, facts), entry_of(facts, first.evidence_id))

    assert again == first
    assert (kept.measured_at, kept.positions) == (facts.measured_at, facts.positions)


def test_what_is_past_its_day_is_judged_as_new_evidence_that_follows_it(switch_world):
    facts = invented_facts(switch_world.rig, NAME)
    first, _ = keep(switch_world.rig, facts, None)
    measured = later(switch_world, facts)

    again, kept = keep(switch_world.rig, measured, entry_of(facts, first.evidence_id, hours=-1))

    assert again.previous_id == first.evidence_id != again.evidence_id
    assert kept == measured


def test_one_figure_that_differs_is_other_evidence(switch_world):
    facts = invented_facts(switch_world.rig, NAME)
    first, _ = keep(switch_world.rig, facts, None)

    again, _ = keep(switch_world.rig, later(switch_world, facts, run="another"), entry_of(facts, first.evidence_id))
    other, _ = keep(
        switch_world.rig, later(switch_world, facts, is_synthetic=False), entry_of(facts, first.evidence_id)
    )

    assert again.evidence_id == first.evidence_id, "the name of a run is told beside the hash"
    assert other.previous_id == first.evidence_id != other.evidence_id


def test_a_row_of_the_closure_that_somebody_changed_makes_other_evidence_though_every_figure_is_the_same(switch_world):
    facts = invented_facts(switch_world.rig, NAME)
    first, _ = keep(switch_world.rig, facts, None)
    switch_world.ask_legacy(
        "update orion.t_proc set observ = observ where id_proc = (select min(id_proc) from orion.t_proc)"
    )

    again, _ = keep(switch_world.rig, later(switch_world, facts), entry_of(facts, first.evidence_id))

    assert again.previous_id == first.evidence_id != again.evidence_id


def test_a_bundle_that_was_changed_on_the_disk_is_not_taken_for_the_same(switch_world):
    facts = invented_facts(switch_world.rig, NAME)
    first, _ = keep(switch_world.rig, facts, None)
    sheet = first.folder / "columns.csv"
    sheet.write_bytes(sheet.read_bytes().replace(b"invented", b"Invented"))

    again, _ = keep(switch_world.rig, later(switch_world, facts), entry_of(facts, first.evidence_id))

    assert again.previous_id == first.evidence_id != again.evidence_id
