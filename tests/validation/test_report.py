"""The page: verdict first, exact numbers in two languages, nothing hostile acts, nothing leaves the page."""

import base64
import re
import subprocess
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from string import Formatter

import pytest
from browsing import open_in_browser
from outlines import NARROW, Outline, text_of
from sample_evidence import (
    ESCAPE,
    FRESHNESS,
    NOW,
    OVERRIDE,
    SCRIPT,
    SECRET,
    failing_facts,
    full_story,
    good_facts,
    hostile_facts,
    unsigned,
)

from banyan.canonical.model import Sensitivity
from banyan.departments import Phase, Side
from banyan.records import RowCounts
from validation.evidence import write_bundle
from validation.facts import EvidenceFacts, Transition
from validation.gate import judge
from validation.masking import mask, show
from validation.page_words import PAGE
from validation.profiles import PROFILES
from validation.report import render_report
from validation.sign_off import CheckedSignOffs, Decision, SignOff
from validation.story import Story, WayBack
from validation.text import Language, write_number

BEFORE = Story(Phase.SYNCING, Side.LEGACY, WayBack(is_open=False))


def page(
    folder: Path,
    facts: EvidenceFacts,
    language: str = "fr",
    story: Story | None = None,
    signed: bool = False,
    after: timedelta = timedelta(0),
    signer: str = "S. Oriol",
) -> str:
    bundle = write_bundle(facts, folder / "evidence", previous_id="a9" * 32)
    people = ((signer, "steward"), ("A. Delmas", "lead")) if signed else ()
    accepted = tuple(SignOff(bundle.evidence_id, *each, Decision.ACCEPT, NOW, "ed25519:checked") for each in people)
    checked = CheckedSignOffs(bundle.evidence_id, accepted)
    judgement = judge(facts.profile, facts, checked, now=NOW + after, freshness=FRESHNESS)
    return render_report(facts, judgement, bundle, story or full_story(), language=language)


CASES = {
    "go": lambda folder, language: page(folder, good_facts(), language, signed=True),
    "await": lambda folder, language: page(folder, good_facts(), language, BEFORE),
    "no-go": lambda folder, language: page(folder, failing_facts(), language, BEFORE),
    "stale": lambda folder, language: page(folder, good_facts(), language, after=timedelta(days=9)),
    "hostile": lambda folder, language: page(
        folder, hostile_facts(), language, replace(full_story(), other_page="report.en.html")
    ),
    "bare": lambda folder, language: page(
        folder,
        good_facts(
            conservation=(), filtered=(), quarantined_rows=(), quarantined_fields=(), round_trip=None, columns=(),
            control_totals=(), statistics=(), degraded=(), levels=(), findings=(), rulesets=(), is_synthetic=False,
        ),
        language,
        BEFORE,
    ),
}  # fmt: skip


@pytest.mark.parametrize("language", ["fr", "en"])
@pytest.mark.parametrize("case", CASES)
def test_every_page_is_well_formed_and_keeps_its_promises(tmp_path: Path, case: str, language: str) -> None:
    html = CASES[case](tmp_path, language)
    outline = Outline(html)

    assert f'<html lang="{language}">' in html
    assert outline.open == []
    assert outline.headings.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(outline.headings, outline.headings[1:], strict=False))
    assert len(outline.ids) == len(set(outline.ids))
    assert set(outline.references) <= set(outline.ids)
    assert outline.tags.count("table") == outline.tags.count("caption")
    assert {"header", "main", "footer", "nav"} <= set(outline.tags)
    assert not {"script", "img", "link", "iframe", "object", "embed", "form", "base"} & set(outline.tags)
    assert outline.acting == []


@pytest.mark.parametrize("case", CASES)
def test_the_policy_allows_one_style_by_its_hash_and_nothing_else(tmp_path: Path, case: str) -> None:
    html = CASES[case](tmp_path, "fr")
    style = html.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(sha256(style.encode()).digest()).decode()

    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', html)

    assert policy is not None
    assert policy[1] == f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'none'; base-uri 'none'"
    assert html.count("<style") == 1
    assert not re.search(r"url\(|@import|https?://", html)


def test_the_verdict_is_the_first_thing_read(tmp_path: Path) -> None:
    text = text_of(page(tmp_path, good_facts(), signed=True))

    assert text.index("38 Isère\u202f: procédures et véhicules") < text.index("GO", text.index("Verdict"))
    assert "Ce verdict permet la bascule de 38.cases + vehicles vers le nouveau système (G4)." in text
    assert "Il ne permet pas de renoncer au retour arrière (G5)" in text
    assert text.index("Ce verdict permet") < text.index("Conservation") < text.index("Totaux de contrôle")


def test_numbers_are_written_as_each_language_writes_them(tmp_path: Path) -> None:
    french = text_of(page(tmp_path / "fr", good_facts()))
    english = text_of(page(tmp_path / "en", good_facts(), "en"))

    assert "42\u202f433 lues = 42\u202f000 chargées + 0 inchangées + 83 supprimées à la source" in french
    assert "42,433 read = 42,000 loaded + 0 unchanged + 83 deleted at the source" in english
    assert "18\u202f734,50" in french
    assert "18,734.50" in english
    assert "\u2212189" in french
    assert "\u2212189" in english
    assert NARROW not in english.replace("«", "")
    assert not re.search(r"\d,\d{3}\b", french)


def test_the_equations_are_printed_term_by_term_and_exact(tmp_path: Path) -> None:
    html = page(tmp_path, good_facts(), "en")
    terms = re.findall(r'<span class="op">(.?)</span><div class="term"><b>([\d,]+)</b><span>([^<]+)</span>', html)

    assert [f"{sign}{number} {words}" for sign, number, words in terms] == [
        "42,433 read", "=42,000 loaded", "+0 unchanged", "+83 deleted at the source", "+318 filtered by a rule",
        "+32 in quarantine", "+0 in flight",
        "53,210 parts emitted", "=53,200 inserted", "+0 updated", "+0 unchanged", "+10 merged (shared)",
    ]  # fmt: skip
    assert "The equation is exact. Unexplained rows: 0" in text_of(html)
    assert "42,000 rows emitted 53,210 parts, 11,210 more" in text_of(html)


def test_a_broken_equation_is_said_with_its_number_and_closes_the_gate(tmp_path: Path) -> None:
    facts = good_facts()
    broken = replace(facts.conservation[1], rows=RowCounts(30_005, 30_000, 0, 2))

    text = text_of(page(tmp_path, replace(facts, conservation=(facts.conservation[0], broken)), "en", signed=True))

    assert "NO-GO" in text
    assert "The equation is broken. Unexplained rows: 3" in text
    assert "This verdict allows repairing and taking new evidence." in text


def test_owner_state_and_way_back_are_on_the_page(tmp_path: Path) -> None:
    text = text_of(page(tmp_path, good_facts(), signed=True))

    assert "Qui peut écrire les postes du nouveau système Propriétaire nouveau système" in text
    assert "Retour incomplet jusqu’au 22 février 2027, 21:00 (Paris)" in text
    assert "4 minutes 10 secondes" in text
    before = text_of(page(tmp_path / "b", good_facts(degraded=()), "en", replace(BEFORE, phase=Phase.SEALING)))
    assert "No rollback" in before
    assert "nobody" in before


def test_the_story_says_outage_refusals_edits_way_back_and_second_switch(tmp_path: Path) -> None:
    text = text_of(page(tmp_path, good_facts(), "en", signed=True))

    for sentence in (
        "Nobody could write for 212 ms. Expected: 190 ms. Late writes the legacy system refused: 57.",
        "1,000 edits made by users.",
        "1,000 edits found again in the legacy system, 0 lost. Rows nobody touched: 41,310 of 41,310 byte-identical.",
        "Nobody could write for 198 ms. Duplicates: 0. Lost: 0.",
    ):
        assert sentence in text


def test_what_was_not_asked_and_the_limit_of_l4_are_named(tmp_path: Path) -> None:
    text = text_of(page(tmp_path, good_facts(), signed=True))

    assert "2 contrôles non demandés" in text
    assert "L5, échantillon comparé au papier" in text
    assert "Une règle fausse deux fois de la même façon n’y est pas vue." in text


def test_round_trip_figures_and_degraded_write_backs_are_told_apart(tmp_path: Path) -> None:
    rows = re.findall(r'<th scope="row">(.*?)</tr>', page(tmp_path, good_facts(), "en"), re.S)
    cells = [" ".join(re.sub(r"<[^>]+>", " ", row).split()) for row in rows]

    assert "Rows given back byte for byte 42,000 42,000 Pass" in cells
    assert "of which exact without residue 22,011 42,000" in cells
    assert "Fields that live only as residue 24,018 504,000" in cells
    assert "Edits read back as written 4 more are listed as degraded 996 1,000 Pass" in cells
    assert "Edits that touch only the fields their rule declares 1,000 1,000 Pass" in cells
    assert "name too long t_personne.nom 4" in cells


def test_causes_stand_before_examples_and_examples_are_masked(tmp_path: Path) -> None:
    facts = failing_facts()
    named = replace(
        facts.examples[0], raw=mask(SECRET), expected=mask("1956-03-01"), found=show(SECRET, Sensitivity.CASE)
    )
    html = page(tmp_path, replace(facts, examples=(named,)), "en", BEFORE)
    text = text_of(html)

    assert "2 causes to look at, not 1,216 values." in text
    assert text.index("Cause A: Rows loaded before") < text.index("Examples, from the row")
    assert SECRET not in html
    assert "1956" not in html
    assert "Q▪▪▪▪▪▪▪▪▪U" in text
    assert "19▪▪-▪▪-01" in text


def test_a_signed_page_names_the_people_and_an_unsigned_one_says_how_to_sign(tmp_path: Path) -> None:
    signed = text_of(page(tmp_path / "1", good_facts(), signed=True))
    awaited = text_of(page(tmp_path / "2", good_facts(), story=BEFORE))
    closed = text_of(page(tmp_path / "3", failing_facts(), story=BEFORE))

    assert "S. Oriol" in signed
    assert "A. Delmas" in signed
    assert "En attente" in awaited
    assert "Manque 2 signatures sur 2." in awaited
    assert "banyan gate sign 38.cases --as steward" in awaited
    assert "banyan gate sign" not in closed
    assert "Signature fermée\u202f: NO-GO" in closed


def test_the_page_prints_the_identifier_and_how_to_recompute_it(tmp_path: Path) -> None:
    html = page(tmp_path, good_facts(), signed=True)

    printed = subprocess.run(["sha256sum", "FILES.sha256"], cwd=tmp_path / "evidence", capture_output=True, text=True)

    digest = printed.stdout.split()[0]
    assert " ".join(digest[at : at + 8] for at in range(0, 64, 8)) in html
    assert "sha256sum --check FILES.sha256 &amp;&amp; sha256sum FILES.sha256" in html
    assert str(tmp_path) not in html


def test_sign_offs_on_another_evidence_are_not_printed_under_this_one(tmp_path: Path) -> None:
    facts = good_facts()
    bundle = write_bundle(facts, tmp_path / "evidence", previous_id=None)
    judgement = judge(PROFILES["switch"], facts, unsigned("2b" * 32), now=NOW, freshness=FRESHNESS)

    with pytest.raises(ValueError, match="not about this evidence"):
        render_report(facts, judgement, bundle, full_story(), language="fr")


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="same folder"):
        page(tmp_path, good_facts(), story=replace(full_story(), other_page="javascript:alert(1)//.html"))


@pytest.mark.parametrize("language", ["fr", "en"])
def test_hostile_content_is_shown_as_symbols(tmp_path: Path, language: str) -> None:
    html = page(tmp_path, hostile_facts(), language, signed=True, signer=SCRIPT + OVERRIDE)

    assert SCRIPT not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "<img" not in html
    assert ESCAPE not in html
    assert "\u241b[2J" in html
    assert OVERRIDE not in html
    assert "\u27e6U+202E\u27e7gnp.exe" in html
    assert "a\u2400b" in html
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]", html)


def test_french_and_english_say_the_same_things() -> None:
    for name, text in PAGE.items():
        french, english = ({field for _, field, _, _ in Formatter().parse(words)} for words in (text.fr, text.en))
        assert french == english, name
        assert text.fr, name
        assert text.en, name
        assert NARROW not in text.en, name


def test_every_word_of_the_page_is_used_and_known() -> None:
    folder = Path(__file__).parents[2] / "validation"
    sources = "".join(each.read_text() for each in [*folder.glob("report/*.j2"), *folder.glob("report*.py")])
    sources += (folder / "speech.py").read_text()
    built = {f"{start}{transition.name.lower()}" for transition in Transition
             for start in ("going_", "permits_", "forbids_", "forbids_sign_", "forbids_nothing_")}  # fmt: skip
    assert built <= PAGE.keys()
    built |= {name for name in PAGE if name.startswith("head_")}

    unused = {name for name in PAGE if f"'{name}'" not in sources and f'"{name}"' not in sources} - built

    assert unused == set()


def test_numbers_are_exact_whatever_their_size() -> None:
    assert write_number(7_311_904_226_118, Language.FR) == "7\u202f311\u202f904\u202f226\u202f118"
    assert write_number(-1_234, Language.EN) == "\u22121,234"


@pytest.mark.browser
@pytest.mark.parametrize("case", ["hostile", "go"])
def test_a_browser_opens_the_page_without_one_request_and_runs_nothing(tmp_path: Path, case: str) -> None:
    (tmp_path / "page.html").write_text(CASES[case](tmp_path, "fr"), encoding="utf-8")

    shown, requests = open_in_browser(tmp_path, tmp_path / "page.html")

    assert "banyan validate verify evidence/" in shown.stdout
    assert "Content Security Policy" not in shown.stderr
    assert requests == set()


@pytest.mark.browser
def test_the_browser_test_would_see_a_request_and_a_blocked_style(tmp_path: Path) -> None:
    """A control: the two observations above can fail."""
    asking = '<!doctype html><img src="http://198.51.100.7/beacon.png">'
    (tmp_path / "asks.html").write_text(asking, encoding="utf-8")
    changed = page(tmp_path, good_facts()).replace("--page: #f4f4f0", "--page: #ffffff", 1)
    (tmp_path / "changed.html").write_text(changed, encoding="utf-8")

    _, requests = open_in_browser(tmp_path / "1", tmp_path / "asks.html")
    blocked, _ = open_in_browser(tmp_path / "2", tmp_path / "changed.html")

    assert requests == {"http://198.51.100.7/beacon.png"}
    assert "Content Security Policy" in blocked.stderr
