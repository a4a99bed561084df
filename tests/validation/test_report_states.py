"""Every state a report can be in, its trend and its waivers; each page keeps what it promises to whoever reads it."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from browsing import open_in_browser
from outlines import NARROW, find_broken_promises, find_low_contrast, text_of
from sample_evidence import HOSTILE, NOW, SECRET, full_story, good_facts
from sample_packs import (
    BORN,
    KEYS,
    ROLES,
    STATES,
    differing,
    missing_names,
    waived_facts,
    whole_facts,
    with_level,
    write_chain,
)

from banyan.canonical.model import Sensitivity
from banyan.departments import Actor, Phase, Side
from banyan.findings import LevelResult, LevelState
from validation.cause_words import DEGRADED
from validation.evidence import Bundle, write_bundle
from validation.facts import CauseFact, EvidenceFacts, NotCounted, Total, Transition
from validation.gate import judge
from validation.masking import mask, show
from validation.profiles import PROFILES
from validation.reconciliation import EXPLAINED
from validation.report import render_report
from validation.sign_off import CheckedSignOffs, Decision, sign
from validation.story import Story, WayBack
from validation.text import Language, Text
from validation.trend import NO_HISTORY, column_lines, draw_path, read_history
from validation.wording import measured

SECTIONS = (
    "conservation", "totals", "columns", "examples", "waivers", "signs", "back", "story", "unasked", "evidence",
)  # fmt: skip
BEFORE = Story(Phase.SYNCING, Side.LEGACY, WayBack(is_open=False), other_page="report.en.html")


def render(bundle: Bundle, facts: EvidenceFacts, *, signed: bool = False, after=timedelta(0), language="fr") -> str:
    people = tuple(
        sign(key, bundle.evidence_id, actor=Actor(name, ROLES[name], "t"), decision=Decision.ACCEPT, signed_at=NOW)
        for name, key in KEYS.items()
    )
    checked = CheckedSignOffs(bundle.evidence_id, people if signed else ())
    judgement = judge(facts.profile, facts, checked, now=NOW + after)
    story = replace(full_story(), other_page="report.en.html") if signed else BEFORE
    history = read_history(bundle, facts.closure)
    return render_report(facts, judgement, bundle, story, language=language, history=history)


def state(folder: Path, name: str, language: str = "fr") -> str:
    facts, signed, after = STATES[name]()
    return render(write_chain(folder, differing(40), facts), facts, signed=signed, after=after, language=language)


@pytest.mark.parametrize("language", ["fr", "en"])
@pytest.mark.parametrize("name", STATES)
def test_every_state_keeps_what_a_page_promises(tmp_path, name, language):
    assert find_broken_promises(state(tmp_path, name, language)) == []


@pytest.mark.parametrize(
    ("name", "look", "word"),
    [
        ("go", "go", "GO"),
        ("waived", "waived", "GO avec dérogations"),
        ("await", "await", "En attente"),
        ("await-waived", "await", "En attente"),
        ("no-go", "nogo", "NO-GO"),
        ("open-work", "nogo", "NO-GO"),
        ("stale", "idle", f"NO-GO{NARROW}: périmé"),
        ("waiver-ended", "nogo", "NO-GO"),
        ("error", "error", f"NO-GO{NARROW}: erreur"),
    ],
)
def test_each_state_has_its_word_its_shape_and_its_colour(tmp_path, name, look, word):
    html = state(tmp_path, name)
    verdict = html.partition('<section class="verdict ')[2].partition("</section>")[0]

    assert verdict.startswith(f'{look}"')
    assert f"</svg>{word}</div>" in verdict


def test_a_page_whose_contrast_or_structure_is_broken_is_told(tmp_path):
    html = state(tmp_path, "go")

    assert list(find_low_contrast(html.replace("--ink-2: #48545f", "--ink-2: #b8c4cf", 1).partition("<style>")[2]))
    assert find_broken_promises(html.replace("</h2>", "</h2><h4>x</h4>", 1)) != []
    assert "a state by colour alone" in " ".join(
        find_broken_promises(html.replace("</main>", '<span class="st go"></span></main>'))
    )


def test_the_sections_stand_in_the_order_a_steward_reads_them(tmp_path):
    html = state(tmp_path, "waived")
    places = [html.index(f'<section id="{name}"') for name in SECTIONS]

    assert html.index('class="verdict') < places[0]
    assert places == sorted(places)


def test_a_waived_page_says_what_is_accepted_until_when_and_by_whom(tmp_path):
    text = text_of(state(tmp_path, "waived"))

    assert "3 constats restent, acceptés par 1 dérogation. Signé par 2 personnes." in text
    assert "L4 person_identity.birth_date" in text
    assert "corrigé au prochain chargement L. Ferrand S. Oriol 4 décembre 2026, 22:05 (Paris) 3 sur 5 Retenue" in text
    assert "Sous dérogation" in text
    assert "1 dérogation, 3 constats" in text[text.index("En signant") :]


def test_a_waiver_past_its_date_or_not_followed_is_shown_as_such(tmp_path):
    ended = text_of(state(tmp_path / "1", "waiver-ended"))
    void = replace(waived_facts(), waivers=(replace(waived_facts().waivers[0], approver="L. Ferrand"),))
    refused = text_of(render(write_chain(tmp_path / "2", void), void))

    assert "3 sur 5 Terminée" in ended
    assert "3 sur 5 Sans effet" in refused
    assert "Sous dérogation" not in refused
    assert "NO-GO" in refused


def test_without_a_waiver_the_page_says_that_nothing_was_accepted(tmp_path):
    assert "Rien n’a été accepté qui ne soit conforme." in text_of(state(tmp_path, "go"))


def test_the_trend_goes_back_along_the_chain_and_what_grew_comes_first(tmp_path):
    bundle = write_chain(tmp_path, differing(40), differing(12), waived_facts(30))
    html = render(bundle, waived_facts(30))
    lines = column_lines(waived_facts(30), read_history(bundle, "38.cases+vehicles"))

    assert [(line.column, line.counts, line.is_worse) for line in lines] == [("birth_date", (40, 12, 30), True)]
    assert 'aria-label="Preuves successives\u202f: 40, 12, 30 différences"' in html
    assert "40 → 12 → 30" in text_of(html)
    assert "Évolution sur 3 preuves." in text_of(html)


def test_a_column_that_was_repaired_is_still_shown_with_what_it_was(tmp_path):
    repaired = replace(differing(1).columns[-1], equal=30_000, different=0)
    facts = replace(whole_facts(), columns=(*whole_facts().columns, repaired))
    bundle = write_chain(tmp_path, differing(12), facts)

    html = render(bundle, facts)

    assert "12 → 0" in text_of(html)
    assert find_broken_promises(html) == []


def test_causes_that_are_as_many_as_their_values_are_not_set_against_them(tmp_path):
    one, many = (text_of(render(write_chain(tmp_path / str(n), differing(n)), differing(n))) for n in (1, 5))

    assert "1 cause à examiner. " in one
    assert "1 cause à examiner, et non 5 valeurs. " in many


@pytest.mark.parametrize(
    ("language", "said"), [("fr", "Rien à compter dans item\u202f: {}"), ("en", "Nothing to count in item: {}")]
)
def test_what_cannot_be_counted_is_told_with_its_reason_and_silence_as_silence(tmp_path, language, said):
    reason = Text("aucune valeur n’y est notée", "no value is written there")
    silent = replace(whole_facts(), control_totals=())
    told = replace(silent, not_counted=(NotCounted("item", reason),))

    pages = [
        text_of(render(write_chain(tmp_path / str(number), facts), facts, language=language))
        for number, facts in enumerate((silent, told))
    ]

    nothing = {"fr": "Aucun total de contrôle n’est déclaré", "en": "No control total is declared"}[language]
    assert [nothing in page for page in pages] == [True, False]
    assert said.format(reason.say(Language(language))) in pages[1]


def test_a_cause_that_the_evidence_before_did_not_have_is_new(tmp_path):
    now = differing(5)
    other = CauseFact("C-02", *BORN, Text.same("cut"), 1)
    lines = column_lines(
        replace(now, causes=(*now.causes, other)), read_history(write_chain(tmp_path, differing(5), now), now.closure)
    )

    assert [(each.cause.name, each.is_new) for each in lines[0].causes] == [("C-01", False), ("C-02", True)]
    assert not any(each.is_new for line in column_lines(now, NO_HISTORY) for each in line.causes)


def test_a_broken_chain_cuts_the_trend_and_the_page_says_so(tmp_path):
    bundle = write_chain(tmp_path, differing(40), differing(12), waived_facts())
    before = tmp_path / str(bundle.previous_id)
    (before / "columns.csv").write_text("table\n")

    history = read_history(bundle, "38.cases+vehicles")

    assert history.is_cut
    assert history.earlier == ()
    assert "l’évolution s’arrête là" in text_of(render(bundle, waived_facts()))


def test_whole_records_that_are_missing_are_shown_with_their_cause(tmp_path):
    facts = replace(differing(2), causes=(CauseFact("C-01", "vehicle", "", Text.same("no record in canonical"), 4),))

    text = text_of(render(write_chain(tmp_path, facts), facts))

    assert "vehicle fiche entière" in text
    assert "aucune fiche dans le nouveau système" in text


def test_open_work_is_shown_list_by_list_without_a_name(tmp_path):
    facts = missing_names(whole_facts(), 3)
    text = text_of(render(write_chain(tmp_path, facts), facts))

    assert "Procédures en cours 102 2 100 3 Écart sans explication" in text
    assert "Scellés vivants 602 2 600 0 Conforme" in text
    assert "travail en cours\u202f: 6 listes, noms différents\u202f: 3" in text


def test_the_sample_is_said_with_the_bound_recomputed_here(tmp_path):
    facts = whole_facts()
    lying = with_level(
        facts,
        replace(facts.level("L5"), figures={**facts.level("L5").figures, "sample_bound_per_million": 1}),
    )

    text = text_of(render(write_chain(tmp_path, lying), lying))

    assert "299 dossiers tirés au sort sur 12\u202f000 et comparés au papier, 0 différents" in text
    assert "moins de 0,99\u202f%" in text
    assert "Aucun échantillon n’a été lu." in text_of(render(write_chain(tmp_path / "2", good_facts()), good_facts()))


def test_levels_speak_french_in_a_french_page():
    facts = whole_facts()

    for level in facts.levels:
        assert measured(level, Language.FR) != level.sentence, level.level
    assert measured(LevelResult("L5", LevelState.ERROR, "it stopped", {}), Language.FR) == "it stopped"
    assert DEGRADED == EXPLAINED


def test_masked_means_absent_from_the_bytes_in_every_state(tmp_path):
    example = replace(STATES["no-go"]()[0].examples[0], raw=mask(SECRET), found=show(SECRET, Sensitivity.IDENTITY))
    for name in STATES:
        facts, signed, after = STATES[name]()
        facts = replace(facts, examples=(example,))
        html = render(write_chain(tmp_path / name, facts), facts, signed=signed, after=after)

        assert SECRET not in html
        assert SECRET[1:-1] not in html


def test_a_large_closure_stays_a_page_one_can_mail(tmp_path):
    facts = whole_facts(
        statistics=tuple(Total(Text.same(f"Index {n} de l’état 4001"), n, n) for n in range(103)),
        conservation=tuple(
            replace(good_facts().conservation[0], table=f"t_table_{number:02d}") for number in range(14)
        ),
    )

    html = render(write_chain(tmp_path, facts), facts)

    assert len(html.encode()) < 60_000
    assert "103 totaux sans écart" in text_of(html)


def test_of_many_statistics_that_lists_explain_the_widest_are_shown_and_each_that_nothing_explains(tmp_path):
    why = Text("listés", "listed")
    lines = tuple(Total(Text.same(f"Unit {n:03d}"), n + 100, 100, why) for n in range(1, 101))
    facts = replace(whole_facts(), statistics=(*lines, Total(Text.same("Unit 999"), 1, 0)))

    text = text_of(render(write_chain(tmp_path, facts), facts, language="en"))

    assert [n for n in range(1, 101) if f"Unit {n:03d} " in text] == list(range(86, 101))
    assert "Unit 999 " in text
    assert "85 more lines in totals.csv." in text


def test_a_line_of_a_trend_ends_where_its_last_figure_stands():
    assert draw_path((40, 0)) == ("M0.0 3.0L100.0 21.0", "21.0")
    assert draw_path((0, 0, 0))[1] == "21.0"


@pytest.mark.browser
@pytest.mark.parametrize("name", ["hostile", "waived"])
def test_a_browser_opens_each_state_without_one_request(tmp_path, name):
    (tmp_path / "page.html").write_text(state(tmp_path, name), encoding="utf-8")

    shown, requests = open_in_browser(tmp_path, tmp_path / "page.html")

    assert requests == set()
    assert "Content Security Policy" not in shown.stderr
    assert "alert(1)" not in shown.stdout.replace("&lt;script&gt;alert(1)&lt;/script&gt;", "").replace(
        "onerror=alert(1)&gt;", ""
    )
    assert all(words not in shown.stdout for words in HOSTILE if not words.isprintable())


@pytest.mark.parametrize(
    ("signed", "permits", "forbids"),
    [(False, "signing the evidence.", "giving up the rollback (G5) yet."),
     (True, "giving up the rollback of 38.cases + vehicles (G5).", "retiring the legacy system (G6).")],
)  # fmt: skip
def test_a_page_for_the_end_of_the_way_back_says_what_it_permits_and_what_not(tmp_path, signed, permits, forbids):
    facts = good_facts(profile=PROFILES["complete"], transition=Transition.COMPLETE)

    said = text_of(render(write_bundle(facts, tmp_path / "b", previous_id=None), facts, signed=signed, language="en"))

    assert permits in said and forbids in said
    assert "Giving up the rollback · profile “end of the way back”" in said
    assert "Rollback to the legacy system" not in said and "the switch of" not in said
