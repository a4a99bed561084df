"""Invented packs and evidence chains, and every state a page can be in, for the tests of pages and of exports."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from sample_evidence import DIGEST_KEY, HOSTILE, MEASURED, NOW, failing_facts, good_facts, hostile_facts

from banyan.departments import Phase, Side
from banyan.findings import FindingKind, LevelResult, LevelState, Severity
from validation.briefing import FORMAT, Briefing, Checker, Declared, Promise, Rehearsed, Reservation
from validation.evidence import Bundle, write_bundle
from validation.facts import CauseFact, ColumnComparison, EvidenceFacts, FindingLine, WaiverFact, rules_digest
from validation.masking import pseudonym
from validation.retention_total import expired_total
from validation.sign_off import Decision, Signer, SigningKey, sign
from validation.text import Text
from validation.waivers import digest_of

KEYS = {"S. Oriol": SigningKey(b"s" * 32), "A. Delmas": SigningKey(b"a" * 32)}
ROLES = {"S. Oriol": "steward", "A. Delmas": "lead"}
LISTS = ("open_cases", "missing_persons", "stolen_vehicles", "stolen_items", "in_custody", "live_seals")
BORN = ("person_identity", "birth_date")


def level_five(*, different: int = 0, sample: bool = True) -> LevelResult:
    """L5 as its parts give it: open work by name, statistics, and a sample read to its end."""
    figures: dict[str, int | str | bool] = {
        "open_work_lists": len(LISTS),
        "open_work_different": different,
        "open_work_state": "FAIL" if different else "PASS",
        "statistics_lines": 1_236,
        "statistics_different": 0,
        "statistics_legacy": 42_100,
        "statistics_explained": 6,
        "statistics_canonical": 42_094,
        "statistics_state": "PASS",
        "parts": "+".join([*["open_work"] * (not different), *["sample"] * sample, "statistics", "totals"]),
        "blocking": different,
        "moving": 0,
    }
    for number, name in enumerate(LISTS, 1):
        figures |= {f"open_work_{name}_legacy": 100 * number + 2, f"open_work_{name}_filtered": 2}
        figures[f"open_work_{name}_canonical"] = 100 * number
    if sample:
        figures |= {"sample_population": 12_000, "sample_drawn": 299, "sample_read": 299, "sample_different": 0,
                    "sample_no_file": 0, "sample_no_file_per_hundred": 0, "sample_unread": 0,
                    "sample_bound_per_million": 9_900,
                    "sample_seed": 1, "sample_list": "ab" * 32, "sample_state": "PASS"}  # fmt: skip
    return LevelResult("L5", LevelState.FAIL if different else LevelState.PASS, "said by the level", figures)


def with_level(facts: EvidenceFacts, level: LevelResult) -> EvidenceFacts:
    """Put one level in the place of the one of the same name."""
    return replace(facts, levels=tuple(level if each.level == level.level else each for each in facts.levels))


def whole_facts(**changes: object) -> EvidenceFacts:
    """Good facts with every part of L5 and the total of retention."""
    facts = with_level(good_facts(), level_five())
    return replace(facts, record_counts=(*facts.record_counts, expired_total(0)), **changes)


def missing_names(facts: EvidenceFacts, count: int) -> EvidenceFacts:
    """Open work that is not equal: so many cases that only the old system knows."""
    lines = tuple(
        FindingLine(
            "L5",
            FindingKind.OPEN_WORK_DIFFERS,
            Severity.BLOCK,
            "case_file",
            pseudonym(DIGEST_KEY, "case_file", str(number)),
            "",
            "open cases: only the old system knows it",
        )
        for number in range(count)
    )
    return replace(with_level(facts, level_five(different=count)), findings=(*facts.findings, *lines))


def differing(count: int, **changes: object) -> EvidenceFacts:
    """Facts in which L4 finds so many birth dates that differ for one cause, each of them named."""
    good = whole_facts()
    lines = tuple(
        FindingLine(
            "L4",
            FindingKind.DIFFERS,
            Severity.BLOCK,
            BORN[0],
            pseudonym(DIGEST_KEY, BORN[0], f"differs-{number}"),
            BORN[1],
            "date differs",
        )
        for number in range(count)
    )
    level = LevelResult(
        "L4",
        LevelState.FAIL,
        "dates differ",
        {"rows": 42_000, "different": count, "blocking": count, "moving": 0, "incomplete": 0},
    )
    changed = replace(
        with_level(good, level),
        columns=(
            *good.columns,
            ColumnComparison(*BORN, "T_PERSONNE@1 date.partial_yyyymmdd", 30_000, 30_000 - count, count),
        ),
        causes=(CauseFact("C-01", *BORN, Text.same("date differs"), count),),
        findings=lines,
    )
    return replace(changed, **changes)


def waived_facts(count: int = 3, *, until: timedelta = timedelta(days=10)) -> EvidenceFacts:
    """The same, accepted by one waiver that names each of them."""
    facts = differing(count)
    records = tuple(sorted(line.pseudonym for line in facts.findings))
    waiver = WaiverFact(
        number=7,
        level="L4",
        rule=".".join(BORN),
        cause="date differs",
        records=records,
        records_digest=digest_of(records),
        up_to=count + 2,
        until=NOW + until,
        rules_digest=rules_digest(facts),
        reason="corrigé au prochain chargement",
        author="L. Ferrand",
        approver="S. Oriol",
    )
    return replace(facts, waivers=(waiver,))


def erroneous_facts() -> EvidenceFacts:
    """Facts of which one level stopped before its end."""
    return with_level(whole_facts(), LevelResult("L2", LevelState.ERROR, "the worker stopped"))


def hostile_waived_facts() -> EvidenceFacts:
    """Hostile texts in every free text, waivers and causes without a column among them."""
    facts = hostile_facts()
    waiver = replace(waived_facts().waivers[0], rule=HOSTILE[0], cause=HOSTILE[1], reason="".join(HOSTILE))
    causes = tuple(CauseFact(words, words, "", Text.same(words), 1) for words in HOSTILE[:4])
    return replace(facts, waivers=(waiver,), causes=(*facts.causes, *causes))


def write_chain(folder: Path, *runs: EvidenceFacts) -> Bundle:
    """Write evidence one after the other, each naming the one before it; gives the last."""
    previous, last = None, None
    for number, facts in enumerate(runs):
        measured = facts.measured_at - timedelta(days=len(runs) - 1 - number)
        made = write_bundle(replace(facts, measured_at=measured), folder / f"run-{number}", previous_id=previous)
        place = folder / made.evidence_id
        made.folder.rename(place)
        last = Bundle(made.evidence_id, place, previous)
        previous = made.evidence_id
    assert last is not None
    return last


def declared(**changes: object) -> Declared:
    """What people wrote for the pack."""
    said = Text("Les 41 unités écrivent dans le nouveau système.", "The 41 units write in the new system.")
    written = Declared(
        number="38-02",
        decision=Text(
            "Autoriser la bascule dans la nuit du 1er au 2 décembre 2026.",
            "Allow the switch in the night of 1 to 2 December 2026.",
        ),
        changes=(said,),
        keeps=(Text("Numéros de procédure et de scellé.", "Case and seal numbers."),),
        morning=(Text("Même compte, même carte.", "Same account, same card."),),
        reservations=(
            Reservation(Text("Trois agents non formés.", "Three officers not trained."), "J. Collet", "2026-12-02"),
            Reservation(Text("Recherches floues non rejouées.", "Fuzzy queries not replayed."), "L. F.", "2026-12-15"),
        ),
        unknown=(Text("Au-delà de 600 agents connectés.", "Beyond 600 officers connected."),),
        checked=(
            Checker("S. Oriol", "steward", Text("299 dossiers comparés au papier.", "299 files compared to paper.")),
        ),
        decides=("P. Aubry", "N. Tessier"),
        signs={"commander": "P. Aubry", "security": "C. Morel"},
    )
    return replace(written, **changes)


def briefing(bundle: Bundle, *, signed: bool = True, **changes: object) -> Briefing:
    """What stands beside an evidence in a pack."""
    signs = tuple(
        sign(key, bundle.evidence_id, actor=_actor(name), decision=Decision.ACCEPT, signed_at=NOW)
        for name, key in KEYS.items()
    )
    whole = Briefing(
        format=FORMAT,
        evidence_id=bundle.evidence_id,
        built_at=NOW + timedelta(minutes=5),
        phase=Phase.SYNCING,
        owner=Side.LEGACY,
        promise=Promise(
            days=90, is_open=False, seconds=221, rehearsed=Rehearsed(MEASURED - timedelta(days=5), 221_000, 1_240, 0)
        ),
        most_outage_ms=10_000,
        expected_outage_ms=412,
        opens_at=MEASURED + timedelta(days=7),
        closes_at=MEASURED + timedelta(days=7, hours=6),
        declared=declared(),
        sign_offs=signs if signed else (),
        signers=tuple(Signer(name, key.public_key, (ROLES[name],)) for name, key in KEYS.items()),
    )
    return replace(whole, **changes)


def _actor(name: str):
    from banyan.departments import Actor

    return Actor(name, ROLES[name], "test")


STATES = {
    "go": lambda: (whole_facts(), True, timedelta(0)),
    "waived": lambda: (waived_facts(), True, timedelta(0)),
    "await": lambda: (whole_facts(), False, timedelta(0)),
    "await-waived": lambda: (waived_facts(), False, timedelta(0)),
    "no-go": lambda: (failing_facts(), False, timedelta(0)),
    "stale": lambda: (whole_facts(), True, timedelta(days=9)),
    "waiver-ended": lambda: (waived_facts(until=timedelta(hours=1)), True, timedelta(hours=3)),
    "error": lambda: (erroneous_facts(), False, timedelta(0)),
    "open-work": lambda: (missing_names(whole_facts(), 3), False, timedelta(0)),
    "hostile": lambda: (hostile_waived_facts(), False, timedelta(0)),
}
"""Each state of a page: its facts, whether two people signed, and how long after the evidence the page is made."""
