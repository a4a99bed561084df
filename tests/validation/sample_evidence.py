"""Invented facts of one closure, for the tests of judgement and of the page."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from banyan.canonical.model import Sensitivity
from banyan.departments import Department, Phase, Side
from banyan.findings import FindingKind, LevelResult, LevelState, Severity
from banyan.records import PartCounts, RowCounts
from validation.facts import (
    CauseFact,
    ColumnComparison,
    DegradedWriteBack,
    EvidenceFacts,
    Example,
    FilteredRows,
    FindingLine,
    Positions,
    QuarantinedFields,
    QuarantinedRows,
    RoundTripFigures,
    RulesetDigest,
    TableConservation,
    Tally,
    Total,
    Transition,
)
from validation.masking import mask, pseudonym, show
from validation.profiles import PROFILES
from validation.sign_off import CheckedSignOffs
from validation.story import Story, Switched, WayBack, WentAgain, WentBack
from validation.text import Text

MEASURED = datetime(2026, 11, 24, 19, 5, tzinfo=UTC)
NOW = MEASURED + timedelta(hours=2)
FRESHNESS = timedelta(days=7)
SECRET = "QUINTERNEAU"
DIGEST_KEY = b"a key of the tests"
SCRIPT = "<script>alert(1)</script>"
FORMULA = '=HYPERLINK("x")'
ESCAPE = "\x1b[2J"
OVERRIDE = "\u202egnp.exe"
NUL = "a\x00b"
_EXTRACTED = {
    "tables": 2, "rows": 42_433, "decode_errors": 0, "undecoded_per_million": 0, "parts": "counts+trailers"
}  # fmt: skip
HOSTILE = (SCRIPT, FORMULA, ESCAPE, OVERRIDE, NUL, '"><img src=x onerror=alert(1)>', "+1", "-1+1", "@x", "\ty", "\rz")


def good_facts(**changes: object) -> EvidenceFacts:
    """Give facts that satisfy the profile `switch`."""
    facts = EvidenceFacts(
        department=Department("38", "Isère", "Europe/Paris", 1),
        closure="38.cases+vehicles",
        system="ORION",
        transition=Transition.SWITCH,
        profile=PROFILES["switch"],
        rulesets=tuple(RulesetDigest(f"{name}@1", f"{at:064x}") for at, name in enumerate(("T_PROC", "T_PERSONNE"))),
        positions=Positions("orion:7310/0-5A20", "banyan:19:19:"),
        conservation=(
            TableConservation(
                "t_proc", RowCounts(12_431, 12_000, 0, 81, 318, 32, 0), PartCounts(12_000, 12_000, 0, 0, 0, 0)
            ),
            TableConservation(
                "t_personne", RowCounts(30_002, 30_000, 0, 2, 0, 0, 0), PartCounts(41_210, 41_200, 0, 0, 10, 11_210)
            ),
        ),
        levels=tuple(
            LevelResult(name, LevelState.PASS, "said by the level", figures)
            for name, figures in (
                ("L0", _EXTRACTED),
                ("L1", {"rows": 42_433, "unexplained": 0}),
                ("L2", {"declared": 12, "loaded": 12, "evaluated": 12}),
                ("L3", {"buckets": 512, "compared": 512, "foreign": 0, "first_fold": False}),
                ("L4", {"rows": 42_000, "different": 0, "moving": 0, "incomplete": 0}),
                ("L5", {"parts": "open_work+statistics+totals", "moving": 0}),
                ("L6", {"rows": 42_000, "identical": 42_000, "without_residue": 22_011, "moving": 0}),
            )
        ),
        measured_at=MEASURED,
        filtered=(
            FilteredRows(
                "t_proc",
                "R-RET-22",
                Text("Durée de conservation dépassée", "Retention exceeded"),
                318,
                Text("Déléguée à la protection des données", "Data protection officer"),
            ),
        ),
        quarantined_rows=(QuarantinedRows("t_proc", Text("Procédure sans numéro", "Case without a number"), 32),),
        quarantined_fields=(QuarantinedFields("t_personne", "ddn", Text("Date impossible", "Impossible date"), 1_204),),
        round_trip=RoundTripFigures(42_000, 42_000, 22_011, 504_000, 24_018, Tally(1_000, 996, 4), Tally(1_000, 1_000)),
        columns=(
            ColumnComparison("person_identity", "surname", "T_PERSONNE@1 name.use_name", 30_000, 30_000, 0),
            ColumnComparison("case_file", "case_number", "T_PROC@1 case_number.normalised", 12_000, 12_000, 0),
        ),
        control_totals=(
            Total(Text("Procédures ouvertes", "Open cases"), 6_218, 6_218),
            Total(
                Text("Valeur des objets, en euros", "Value of items, in euros"),
                Decimal("18734.50"),
                Decimal("18734.50"),
            ),
            Total(Text("Objets", "Items"), 1_204, 1_015, Text("189 objets de la liste Q-01", "189 items of list Q-01")),
        ),
        statistics=(Total(Text("Faits constatés en 2025, index 1", "Offences recorded in 2025, index 1"), 311, 311),),
        degraded=(DegradedWriteBack(Text("nom trop long", "name too long"), "t_personne", "nom", 4),),
        findings=(
            FindingLine(
                "L4", FindingKind.DIFFERS, Severity.WARN, "t_personne", pseudonym(DIGEST_KEY, "t_personne", SECRET)
            ),
        ),
        run="18",
        is_synthetic=True,
    )
    return replace(facts, **changes)


def failing_facts(**changes: object) -> EvidenceFacts:
    """Give facts with differences in two columns, their causes and examples."""
    good = good_facts()
    levels = tuple(
        LevelResult("L4", LevelState.FAIL, "rows differ", {"rows": 42_000, "different": 1_216})
        if level.level == "L4"
        else level
        for level in good.levels
    )
    born, rule = ("person_identity", "birth_date"), "T_PERSONNE@1 date.partial_yyyymmdd"
    status, status_rule = ("case_file", "case_status_code"), "T_PROC@1 code(STATUT)"
    before = Text("Lignes chargées avant la précision «\u202fmois\u202f».", "Rows loaded before the “month” precision.")
    changed = replace(
        good,
        levels=levels,
        columns=(
            *good.columns,
            ColumnComparison(*born, rule, 30_000, 28_796, 1_204),
            ColumnComparison(*status, status_rule, 12_000, 11_988, 12),
        ),
        causes=(
            CauseFact("A", *born, before, 1_204),
            CauseFact("B", *status, Text("Code 9 non décidé.", "Code 9 undecided."), 12),
        ),
        examples=(
            Example(
                "A",
                *born,
                pseudonym(DIGEST_KEY, "t_personne", "1"),
                mask("19560300"),
                rule,
                mask("1956-03-01"),
                mask("1956-03-31"),
                note=Text("le mois seul est sûr", "only the month is certain"),
            ),
            Example(
                "B",
                *status,
                pseudonym(DIGEST_KEY, "t_proc", "1"),
                show("9", Sensitivity.NONE),
                status_rule,
                show(None, Sensitivity.NONE),
                show("0", Sensitivity.NONE),
                decoded=show("9", Sensitivity.NONE),
            ),
        ),
    )
    return replace(changed, **changes)


def hostile_facts() -> EvidenceFacts:
    """Give facts whose every free text is hostile."""
    facts = failing_facts()
    hostile = [Text.same(words) for words in HOSTILE]
    return replace(
        facts,
        system=SCRIPT + ESCAPE,
        department=Department("38", SCRIPT + OVERRIDE, "Europe/Paris", 1),
        levels=(
            *(level for level in facts.levels if level.level != "L5"),
            LevelResult(
                "L5", LevelState.PASS, SCRIPT + ESCAPE + OVERRIDE, {"parts": "open_work+statistics+totals", "moving": 0}
            ),
        ),
        run=SCRIPT + NUL,
        positions=Positions(FORMULA, OVERRIDE),
        filtered=tuple(FilteredRows("t_proc", FORMULA, each, 0, each) for each in hostile) + facts.filtered,
        quarantined_rows=tuple(QuarantinedRows(SCRIPT, each, 0) for each in hostile) + facts.quarantined_rows,
        quarantined_fields=tuple(QuarantinedFields("t", NUL, each, 1) for each in hostile),
        control_totals=tuple(Total(each, 1, 1) for each in hostile),
        columns=tuple(ColumnComparison(words, words, words, 1, 1, 0) for words in HOSTILE) + facts.columns,
        degraded=tuple(DegradedWriteBack(each, SCRIPT, OVERRIDE, 1) for each in hostile),
        findings=tuple(
            FindingLine("L4", FindingKind.DIFFERS, Severity.WARN, words, "0" * 32, words, words) for words in HOSTILE
        ),
        examples=(*facts.examples, replace(facts.examples[1], raw=show("".join(HOSTILE), Sensitivity.NONE))),
    )


def full_story() -> Story:
    """Tell a switch, a rollback and a second switch."""
    return Story(
        phase=Phase.LIVE,
        owner=Side.CANONICAL,
        way_back=WayBack(
            is_open=True, until=datetime(2027, 2, 22, 20, 0, tzinfo=UTC), seconds=250, rehearsed_at=MEASURED
        ),
        switched=Switched(outage_ms=212, refused_legacy_writes=57, expected_outage_ms=190),
        edits=1_000,
        went_back=WentBack(edits=1_000, lost=0, untouched_rows=41_310, untouched_identical=41_310, outage_ms=1_240),
        went_again=WentAgain(duplicates=0, lost=0, outage_ms=198),
    )


def unsigned(evidence_id: str) -> CheckedSignOffs:
    """Give no sign-off on an evidence."""
    return CheckedSignOffs(evidence_id)
