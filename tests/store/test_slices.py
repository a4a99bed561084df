"""A closure moves as a whole, by compare-and-set, with its journal; it is fenced only when two people signed."""

import threading
from itertools import combinations, pairwise

import pytest
import sqlalchemy as sa
from stores import CLOSURE, StorePlace, own

from banyan.departments import Actor, Phase, Side
from banyan.errors import BanyanError, SwitchRefused, UsageError
from store.journal import read_journal
from store.slices import Expected, Target, arm, read_closure, read_slices, transition
from validation.sign_off import is_same_person

pytestmark = pytest.mark.server

NAME = CLOSURE.name
GUARD = Actor("guard", "guard", "service")
READY = (Phase.REGISTERED, Phase.ASSESSED, Phase.MAPPED, Phase.LOADING, Phase.SYNCING, Phase.READY)
TO_FENCING = Target(Phase.FENCING, 2, evidence_id="e1")


def moved(place, expected, target):
    with place.transaction("banyan_guard") as connection:
        return transition(connection, NAME, expected, target, actor=GUARD)


def slices(place):
    with place.transaction("banyan_guard") as connection:
        return read_closure(connection, NAME)


def made_ready(place):
    for before, after in pairwise(READY):
        moved(place, Expected(before, 1), Target(after, 1))


def signed(place, *signatures, closure=NAME, expires="null", profile="switch"):
    place.run(
        "insert into mig.evidence (evidence_id, department_code, closure, profile, verdict, reasons, expires_at)"
        f" values ('e1', '38', %s, %s, 'GO', '[]', {expires})",
        (closure, profile),
    )
    for actor, role, decision in signatures:
        place.run(
            "insert into mig.sign_off (evidence_id, actor, role, authenticated_by, decision, signature)"
            " values ('e1', %s, %s, 'card', %s, 'a signature')",
            (actor, role, decision),
            role="banyan_steward",
        )


BOTH = (("ana", "steward", "ACCEPTED"), ("bo", "lead", "ACCEPTED"))


def test_both_slices_of_a_closure_move_together_and_the_journal_says_so(store: StorePlace):
    sequence = moved(store, Expected(Phase.REGISTERED, 1), Target(Phase.ASSESSED, 1))

    assert [(row.domain_code, row.phase, row.epoch, row.owner) for row in slices(store)] == [
        ("cases", Phase.ASSESSED, 1, Side.LEGACY),
        ("vehicles", Phase.ASSESSED, 1, Side.LEGACY),
    ]
    with store.transaction("banyan_guard") as connection:
        (entry,) = read_journal(connection, closure=NAME)
    assert (entry["sequence"], entry["kind"], entry["from_phase"], entry["to_phase"]) == (
        sequence, "TRANSITION", "REGISTERED", "ASSESSED",
    )  # fmt: skip


@pytest.mark.parametrize("expected", [Expected(Phase.SYNCING, 1), Expected(Phase.REGISTERED, 2)])
def test_a_closure_that_is_not_as_expected_is_left_alone(store, expected):
    before = slices(store)

    with pytest.raises(SwitchRefused, match="nothing was changed"):
        moved(store, expected, Target(Phase.ASSESSED, 3))

    assert slices(store) == before
    assert store.run("select count(*) from mig.journal") == [(0,)]


def test_one_slice_out_of_step_holds_the_whole_closure(store):
    store.run("update mig.slice set epoch = 2 where domain_code = 'vehicles'")

    with pytest.raises(SwitchRefused, match="vehicles: REGISTERED 2"):
        moved(store, Expected(Phase.REGISTERED, 1), Target(Phase.ASSESSED, 1))


def test_of_two_controllers_with_the_same_expectation_one_moves(store):
    outcome = []

    def work():
        try:
            outcome.append(moved(store, Expected(Phase.REGISTERED, 1), Target(Phase.ASSESSED, 2)) > 0)
        except SwitchRefused:
            outcome.append(False)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcome) == [False, False, True]
    assert {row.epoch for row in slices(store)} == {2}


def test_what_a_transition_does_not_name_is_kept_and_what_it_clears_is_cleared(store):
    moved(store, Expected(Phase.REGISTERED, 1), Target(Phase.ASSESSED, 1, drain_position="p"))
    moved(store, Expected(Phase.ASSESSED, 1), Target(Phase.MAPPED, 1))
    kept = {row.drain_position for row in slices(store)}
    moved(store, Expected(Phase.MAPPED, 1), Target(Phase.LOADING, 1, drain_position=None))

    assert kept == {"p"}
    assert {row.drain_position for row in slices(store)} == {None}


def test_a_signed_closure_is_fenced_and_the_flip_moves_its_owner(store):
    made_ready(store)
    signed(store, *BOTH)

    moved(store, Expected(Phase.READY, 1), TO_FENCING)
    for before, after in ((Phase.FENCING, Phase.DRAINING), (Phase.DRAINING, Phase.VERIFYING),
                          (Phase.VERIFYING, Phase.SEALING)):  # fmt: skip
        moved(store, Expected(before, 2), Target(after, 2))
    moved(store, Expected(Phase.SEALING, 2), Target(Phase.LIVE, 3))

    assert {(row.owner, row.phase, row.epoch) for row in slices(store)} == {(Side.CANONICAL, Phase.LIVE, 3)}


@pytest.mark.parametrize(
    "signatures",
    [
        (),
        (("ana", "steward", "ACCEPTED"),),
        (("ana", "steward", "ACCEPTED"), ("bo", "steward", "ACCEPTED")),
        (("ana", "steward", "ACCEPTED"), ("bo", "lead", "REFUSED")),
        (*BOTH, ("cy", "lead", "REFUSED")),
    ],
    ids=["nobody", "only a steward", "two stewards", "the lead refused", "a third person refused"],
)
def test_no_closure_is_fenced_without_a_steward_and_a_lead(store, signatures):
    made_ready(store)
    signed(store, *signatures)

    with pytest.raises(BanyanError, match="signed by a steward and a lead"):
        moved(store, Expected(Phase.READY, 1), TO_FENCING)

    assert store.run("select mig.is_signed('e1')", role="banyan_guard") == [(False,)]
    assert {row.phase for row in slices(store)} == {Phase.READY}


@pytest.mark.parametrize(
    ("one", "other"),
    [("Paul Aubry", "Paul  Aubry"), ("Paul Aubry", " PAUL\tAUBRY "), ("Paul\u00a0Aubry", "Paul Aubry"),
     ("Rene\u0301", "RENÉ"), ("Groß", "GROSS"), ("ﬁlipe", "Filipe")],
)  # fmt: skip
def test_one_person_under_two_spellings_does_not_open_the_way(store, one, other):
    signed(store, (one, "steward", "ACCEPTED"), (other, "lead", "ACCEPTED"))

    assert is_same_person(one, other)
    assert store.run("select mig.person(%s) = mig.person(%s)", (one, other)) == [(True,)]
    assert store.run("select mig.is_signed('e1')", role="banyan_guard") == [(False,)]


def test_the_store_tells_persons_apart_as_the_program_does(store):
    blanks = [chr(code) for code in range(0x10000) if chr(code).isspace() and not 0xD800 <= code < 0xE000]
    names = ["Ana", "ana", "Anna", "A na", "A  na", "ÀNA", "àna", "Öz", "öz", "oz", "İpek", "ipek", "Σας", "ΣΑΣ", "ς"]
    names += [f"A{blank}na" for blank in blanks]

    told = [row[0] for row in store.run("select mig.person(n) from unnest(%s::text[]) with ordinality u(n, i)"
                                        " order by i", (names,))]  # fmt: skip

    pairs = list(combinations(range(len(names)), 2))
    differing = [(names[a], names[b]) for a, b in pairs
                 if (told[a] == told[b]) is not is_same_person(names[a], names[b])]  # fmt: skip
    assert len(blanks) > 20 and differing == []


@pytest.mark.parametrize("profile", ["rehearsal", "shadow", "rollback", "complete", "standard"])
def test_evidence_that_was_not_made_for_a_switch_fences_nothing(store, profile):
    made_ready(store)
    signed(store, *BOTH, profile=profile)

    with pytest.raises(BanyanError, match="without evidence of the profile switch or full, signed by"):
        moved(store, Expected(Phase.READY, 1), TO_FENCING)

    assert {row.phase for row in slices(store)} == {Phase.READY}


@pytest.mark.parametrize(
    ("profile", "verdict", "said"),
    [("shadow", "GO", ""), ("rehearsal", "AWAITING", ""), ("shadow", "NO-GO", "evidence e2 was made after e1 and says"),
     ("complete", "NO-GO", "evidence e2 was made after e1 and says"), ("full", "AWAITING", "signed by a steward")],
)  # fmt: skip
def test_what_is_judged_after_the_signatures_counts_for_what_it_was_made(store, profile, verdict, said):
    made_ready(store)
    signed(store, *BOTH)
    store.run(
        "insert into mig.evidence (evidence_id, department_code, closure, profile, verdict, reasons)"
        " values ('e2', '38', %s, %s, %s, '[]')",
        (NAME, profile, verdict),
    )

    refused = ""
    try:
        moved(store, Expected(Phase.READY, 1), TO_FENCING)
    except BanyanError as error:
        refused = str(error)

    assert (said in refused) if said else not refused
    assert {row.phase for row in slices(store)} == {Phase.READY if said else Phase.FENCING}
    assert store.run("select mig.is_signed('e1')", role="banyan_guard") == [(not said,)]


def test_a_refusal_of_another_closure_or_from_before_stands_in_the_way_of_nothing(store):
    made_ready(store)
    store.run(
        "insert into mig.evidence (evidence_id, department_code, closure, profile, verdict, reasons, made_at)"
        " values ('e0', '38', %s, 'switch', 'NO-GO', '[]', now() - interval '1 h'),"
        " ('e2', '38', '38.custody', 'switch', 'NO-GO', '[]', now() + interval '1 h')",
        (NAME,),
    )
    signed(store, *BOTH)

    moved(store, Expected(Phase.READY, 1), TO_FENCING)

    assert {row.phase for row in slices(store)} == {Phase.FENCING}


def test_one_person_cannot_sign_twice(store):
    signed(store, ("ana", "steward", "ACCEPTED"))

    with pytest.raises(Exception, match="sign_off_evidence_id_actor_key"):
        store.run(
            "insert into mig.sign_off (evidence_id, actor, role, authenticated_by, decision, signature)"
            " values ('e1', 'ana', 'lead', 'card', 'ACCEPTED', 'a signature')",
            role="banyan_steward",
        )


@pytest.mark.parametrize(
    ("options", "said"),
    [({"closure": "38.custody"}, "not about closure"), ({"expires": "now() - interval '1 s'"}, "signed by")],
)
def test_evidence_of_another_closure_or_past_its_date_does_not_open_the_way(store, options, said):
    made_ready(store)
    signed(store, *BOTH, **options)

    with pytest.raises(BanyanError, match=said):
        moved(store, Expected(Phase.READY, 1), TO_FENCING)


def test_fencing_without_naming_evidence_is_refused_even_to_a_superuser(store):
    made_ready(store)

    with pytest.raises(Exception, match="signed by a steward and a lead"):
        store.run("update mig.slice set phase = 'FENCING'")


@pytest.mark.parametrize(
    "change",
    ["epoch = epoch - 1", "owner = 'CANONICAL', phase = 'LIVE'", "phase = 'LIVE'", "owner = 'CANONICAL'"],
)
def test_the_epoch_never_goes_back_and_owner_phase_and_epoch_move_together(store, change):
    store.run("update mig.slice set epoch = 5")

    with pytest.raises(BanyanError) as refused, store.transaction("banyan_guard") as connection:
        connection.execute(sa.text(f"update mig.slice set {change}"))

    assert refused.value.facts["sqlstate"] == "23514"


def test_halt_keeps_the_owner(store):
    own(store, "CANONICAL")

    moved(store, Expected(Phase.LIVE, 2), Target(Phase.HALT, 3))

    assert {(row.owner, row.phase) for row in slices(store)} == {(Side.CANONICAL, Phase.HALT)}


def test_a_closure_is_armed_for_this_start_and_the_journal_says_so(store):
    store.run("update mig.slice set armed_boot = null")
    before = {row.is_armed for row in slices(store)}

    with store.transaction("banyan_guard") as connection:
        arm(connection, NAME, actor=GUARD)

    assert before == {False}
    assert {row.is_armed for row in slices(store)} == {True}
    assert store.run("select kind, facts ->> 'boot' = pg_postmaster_start_time()::text from mig.journal") == [
        ("ARM", True)
    ]


def test_all_slices_are_read_in_key_order_and_an_unknown_closure_is_refused(store):
    with store.transaction("banyan_auditor") as connection:
        assert [row.domain_code for row in read_slices(connection)] == ["cases", "vehicles"]
        with pytest.raises(UsageError, match="no closure"):
            read_closure(connection, "38.custody")


def test_a_closure_of_which_the_store_holds_a_part_is_neither_read_nor_moved_nor_armed(store):
    store.run("update mig.slice set closure = '38.cases+custody+vehicles' where domain_code = 'cases'")
    store.run("update mig.slice set closure = '38.vehicles' where domain_code = 'vehicles'")
    before = store.run("select domain_code, closure, phase, epoch from mig.slice order by 1")
    whole, said = "38.cases+custody+vehicles", "the store holds custody, vehicles of 38.cases.custody.vehicles under"

    with store.transaction("banyan_guard") as connection, pytest.raises(SwitchRefused, match=said) as told:
        read_closure(connection, whole)
    with store.transaction("banyan_guard") as connection, pytest.raises(SwitchRefused, match=said):
        transition(connection, whole, Expected(Phase.REGISTERED, 1), Target(Phase.ASSESSED, 1), actor=GUARD)
    with store.transaction("banyan_guard") as connection, pytest.raises(SwitchRefused, match=said):
        arm(connection, whole, actor=GUARD)

    assert "banyan map closure 38 names the tables they share" in told.value.hint
    assert store.run("select domain_code, closure, phase, epoch from mig.slice order by 1") == before
