"""What a switch rests on: evidence made for one, whole on the disk, signed with the keys of two it trusts."""

import dataclasses
import shutil
from contextlib import contextmanager
from datetime import timedelta

import pytest
from projects import known_actor
from signing import (
    invented_facts,
    key_of,
    make_signed_evidence,
    person_of,
    signed_by,
    write_evidence_of,
    write_sign_off,
)
from switches import NAME, SwitchWorld, order, switch_world

from banyan.clock import now
from banyan.departments import Actor, Phase, Side
from banyan.errors import BanyanError, SwitchRefused
from cutover import protocol
from cutover.control import Writing, move
from cutover.plan import plan_switch
from cutover.proof import evidence_folder
from cutover.reading import RigReader
from cutover.signatures import current_evidence
from cutover.switching import switch
from validation.profiles import PROFILES
from validation.sign_off import Decision, sign

pytestmark = pytest.mark.server
__all__ = ["known_actor", "switch_world"]


def refusals(world: SwitchWorld) -> list[tuple[str, str, str]]:
    plan = plan_switch(world.closure, Side.CANONICAL, RigReader(world.rig, world.closure))
    return [(each.name, each.sentence, each.next_command) for each in plan.obstacles]


def fence_in_the_store(world: SwitchWorld, evidence_id: str) -> None:
    """Close the old side by the protocol's own move alone, past every precondition of the program."""
    engine = world.rig.workspace.engine("banyan_guard")
    nonce = world.fence.nonce.int
    actor, writing = Actor("mallory", "guard", "test"), Writing(evidence_id=evidence_id)
    move(engine, NAME, lambda row: protocol.change(row, protocol.READY, epoch=row.epoch), actor=actor, writing=writing)
    move(engine, NAME, lambda row: protocol.start(row, row.epoch, nonce=nonce), actor=actor, writing=writing)


@pytest.mark.parametrize("profile", ["rehearsal", "shadow", "rollback", "complete"])
def test_evidence_of_another_profile_opens_nothing_however_it_is_signed(switch_world, profile):
    evidence = make_signed_evidence(switch_world.rig, NAME, profile=profile)

    (refused,) = refusals(switch_world)
    with pytest.raises(SwitchRefused):
        switch(switch_world.rig, switch_world.closure, order())
    with pytest.raises(BanyanError, match="without evidence of the profile switch or full"):
        fence_in_the_store(switch_world, evidence)

    assert refused == (
        "signed",
        f"the newest evidence {evidence[:8]}… was made for the profile {profile}, not for switch or full",
        f"banyan validate run {NAME}",
    )
    assert switch_world.ask_store("select mig.is_signed(:e)", e=evidence) == [(False,)]
    assert switch_world.who_writes() == "LEGACY"
    assert switch_world.phase in (Phase.SYNCING, Phase.READY)


@pytest.mark.parametrize("profile", ["switch", "full"])
def test_evidence_made_for_a_switch_and_signed_by_two_opens_it(switch_world, profile):
    make_signed_evidence(switch_world.rig, NAME, profile=profile)

    assert refusals(switch_world) == []


@pytest.mark.parametrize("profile", ["shadow", "complete"])
def test_what_was_judged_since_for_something_else_takes_nothing_from_signed_evidence(switch_world, profile):
    evidence = make_signed_evidence(switch_world.rig, NAME)
    write_evidence_of(switch_world.rig, invented_facts(switch_world.rig, NAME, profile=profile), verdict="GO")

    reader = RigReader(switch_world.rig, switch_world.closure)

    assert refusals(switch_world) == []
    assert (reader.evidence_id(), current_evidence(switch_world.rig, NAME).evidence_id) == (evidence, evidence)
    assert switch_world.ask_store("select mig.is_signed(:e)", e=evidence) == [(True,)]


@pytest.mark.parametrize("profile", ["shadow", "rehearsal"])
def test_a_later_no_go_of_any_profile_stands_in_the_way_by_name_until_it_is_judged_again(switch_world, profile):
    rig = switch_world.rig
    evidence = make_signed_evidence(rig, NAME)
    refusing = write_evidence_of(rig, invented_facts(rig, NAME, profile=profile), verdict="NO-GO").evidence_id
    write_evidence_of(rig, invented_facts(rig, NAME, profile=profile), verdict="GO")

    refused = refusals(switch_world)
    with pytest.raises(SwitchRefused):
        switch(rig, switch_world.closure, order())
    with pytest.raises(BanyanError, match=f"evidence {refusing} was made after {evidence} and says NO-GO"):
        fence_in_the_store(switch_world, evidence)
    shown = current_evidence(rig, NAME).evidence_id
    signed_by_the_store = switch_world.ask_store("select mig.is_signed(:e)", e=evidence)
    make_signed_evidence(rig, NAME)

    assert refused == [
        (
            "signed",
            f"evidence {refusing[:8]}…, made after it for the profile {profile}, says NO-GO:"
            f" what {evidence[:8]}… says may be true no more",
            f"banyan validate run {NAME}",
        )
    ]
    assert (shown, signed_by_the_store) == (refusing, [(False,)])
    assert refusals(switch_world) == [], "judged again since and signed"


def test_newer_evidence_for_a_switch_is_the_one_that_needs_its_signatures(switch_world):
    earlier = make_signed_evidence(switch_world.rig, NAME)
    newest = write_evidence_of(switch_world.rig, invented_facts(switch_world.rig, NAME, profile="full")).evidence_id

    (refused,) = refusals(switch_world)
    with pytest.raises(BanyanError, match="signed by a steward and a lead"):
        fence_in_the_store(switch_world, earlier)

    assert refused[1] == f"evidence {newest[:8]}… is not signed by a steward and a lead, or it has expired"
    assert current_evidence(switch_world.rig, NAME).evidence_id == newest


def test_what_is_past_its_day_is_shown_no_more_and_still_refused(switch_world):
    rig = switch_world.rig
    aged = dataclasses.replace(invented_facts(rig, NAME), measured_at=now() - timedelta(hours=25))
    evidence = write_evidence_of(rig, aged, verdict="GO", expires_at=now() - timedelta(hours=1)).evidence_id
    for role in ("steward", "lead"):
        write_sign_off(rig, signed_by(rig, evidence, role))
    since = write_evidence_of(rig, invented_facts(rig, NAME, profile="shadow"), verdict="GO").evidence_id

    (refused,) = refusals(switch_world)

    assert refused[1].startswith(f"the gate refuses evidence {evidence[:8]}… today: The evidence ended on")
    assert current_evidence(rig, NAME).evidence_id == since
    assert switch_world.ask_store("select mig.is_signed(:e)", e=evidence) == [(False,)]


def test_rows_that_somebody_wrote_into_the_store_are_no_signatures(switch_world):
    rig = switch_world.rig
    evidence = write_evidence_of(rig, invented_facts(rig, NAME), verdict="GO").evidence_id
    for role in ("steward", "lead"):
        switch_world.ask_store(
            "insert into mig.sign_off (evidence_id, actor, role, authenticated_by, decision, signature)"
            " values (:id, :actor, :role, 'key file', 'ACCEPTED', 'ed25519:AAAA')",
            id=evidence, actor=person_of(rig, role), role=role,
        )  # fmt: skip

    (refused,) = refusals(switch_world)

    assert switch_world.ask_store("select mig.is_signed(:e)", e=evidence) == [(True,)], "the store alone would open"
    assert refused[0] == "signed"
    assert refused[1] == (
        f"evidence {evidence[:8]}… is not signed by a steward and a lead, or it has expired;"
        " that of claire is a signature that does not verify; that of paul is a signature that does not verify"
    )
    assert refused[2].startswith(f"banyan gate sign {NAME} --as steward")


@pytest.mark.parametrize("how", ["another evidence", "another key", "a person nobody knows"])
def test_a_signature_counts_for_its_evidence_its_key_and_its_person_only(switch_world, how):
    rig = switch_world.rig
    earlier = write_evidence_of(rig, invented_facts(rig, NAME)).evidence_id
    evidence = write_evidence_of(rig, invented_facts(rig, NAME)).evidence_id
    write_sign_off(rig, signed_by(rig, evidence, "steward"))
    lead = Actor("nobody" if how == "a person nobody knows" else person_of(rig, "lead"), "lead", "key file")
    key = key_of("mallory" if how == "another key" else lead.name)
    about = earlier if how == "another evidence" else evidence
    forged = sign(key, about, actor=lead, decision=Decision.ACCEPT, signed_at=now())
    write_sign_off(rig, dataclasses.replace(forged, evidence_id=evidence))

    (refused,) = refusals(switch_world)

    why = "person unknown to the project" if how == "a person nobody knows" else "signature that does not verify"
    assert refused[1].endswith(f"; that of {lead.name} is a {why}")


def test_the_store_takes_no_decision_without_a_signature(switch_world):
    evidence = write_evidence_of(switch_world.rig, invented_facts(switch_world.rig, NAME)).evidence_id
    statement = (
        "insert into mig.sign_off (evidence_id, actor, role, authenticated_by, decision, signature)"
        " values (:id, 'claire', 'steward', 'key file', 'ACCEPTED', :signature)"
    )

    for signature in (None, b""):
        with pytest.raises(Exception, match="signature"):
            switch_world.ask_store(statement, id=evidence, signature=signature)

    assert switch_world.ask_store("select count(*) from mig.sign_off where evidence_id = :e", e=evidence) == [(0,)]


@contextmanager
def changed(path, old: bytes, new: bytes):
    """Change a file, and put it back."""
    before = path.read_bytes()
    assert old in before
    path.write_bytes(before.replace(old, new, 1))
    yield
    path.write_bytes(before)


def test_a_byte_of_the_bundle_that_changed_is_seen_and_named_before_anything_is_closed(switch_world):
    folder = evidence_folder(switch_world.rig, make_signed_evidence(switch_world.rig, NAME))
    before = (switch_world.row, switch_world.fence)

    with changed(folder / "manifest.json", b"invented", b"Invented"):
        (refused,) = refusals(switch_world)
        with pytest.raises(SwitchRefused) as said:
            switch(switch_world.rig, switch_world.closure, order())
    whole = refusals(switch_world)

    sentence = f"the bundle of evidence {folder.name[:8]}… is not what was written: manifest.json was changed"
    assert refused == ("evidence", sentence, f"banyan validate verify {folder}")
    assert said.value.facts["reasons"] == [f"evidence   {sentence}"]
    assert (switch_world.row, switch_world.fence, whole) == (*before, [])


def test_a_bundle_that_is_not_there_is_a_refusal_with_the_next_command(switch_world, tmp_path):
    folder = evidence_folder(switch_world.rig, make_signed_evidence(switch_world.rig, NAME))
    shutil.move(folder, tmp_path / "away")

    (refused,) = refusals(switch_world)
    shutil.move(tmp_path / "away", folder)
    whole = refusals(switch_world)

    assert refused == (
        "evidence",
        f"the bundle of evidence {folder.name[:8]}… is not in the folder evidence of this project",
        f"banyan validate run {NAME}    (or bring its folder back)",
    )
    assert whole == []


def test_a_store_that_remembers_another_position_than_the_signed_one_is_not_believed(switch_world):
    rig = switch_world.rig
    facts = invented_facts(rig, NAME)
    evidence = write_evidence_of(rig, facts, remembered=f"{facts.positions.legacy}0").evidence_id
    for role in ("steward", "lead"):
        write_sign_off(rig, signed_by(rig, evidence, role))

    refused = refusals(switch_world)[0]

    assert refused[0] == "evidence"
    assert refused[1].endswith("is not what was written: the store remembers another position of the old system")


def test_evidence_of_a_profile_that_is_asked_otherwise_today_is_refused(switch_world):
    rig = switch_world.rig
    milder = dataclasses.replace(PROFILES["switch"], asked=("L0", "L1"), parts=(), thresholds=())
    facts = dataclasses.replace(invented_facts(rig, NAME), profile=milder)
    evidence = write_evidence_of(rig, facts, verdict="GO").evidence_id
    for role in ("steward", "lead"):
        write_sign_off(rig, signed_by(rig, evidence, role))

    (refused,) = refusals(switch_world)

    assert refused[1].startswith(f"the gate refuses evidence {evidence[:8]}… today: The evidence answers the profile")
    assert refused[2] == f"banyan gate show {NAME}"
