"""The commander's pack: six numbers, what was not asked, the way back, two sheets, made again offline to the byte."""

import csv
import io
import json
import re
import shutil
from dataclasses import replace
from datetime import timedelta
from string import Formatter

import pytest
from browsing import count_printed_sheets, open_in_browser
from outlines import NARROW, Outline, find_broken_promises, text_of
from sample_evidence import ESCAPE, HOSTILE, MEASURED, NOW, OVERRIDE, SECRET
from sample_packs import (
    STATES,
    briefing,
    declared,
    differing,
    level_five,
    missing_names,
    waived_facts,
    whole_facts,
    with_level,
    write_chain,
)

from banyan.departments import Phase, Side
from banyan.errors import UsageError
from banyan.findings import LevelResult, LevelState
from cli.main import run
from validation import canonical_json
from validation.briefing import Checker, Promise, Rehearsed, Reservation
from validation.facts import CauseFact, ColumnComparison, DegradedWriteBack
from validation.pack import read_pack, verify_pack, write_pack
from validation.pack_numbers import Standing, six_numbers
from validation.pack_words import PACK
from validation.reconciliation import EXPLAINED
from validation.retention_total import expired_total
from validation.text import Text
from validation.trend import NO_HISTORY

PLACE = "pack"


def pack(folder, *runs, signed=True, **changes):
    """Write evidence and a pack of its last; gives the folder of the pack."""
    bundle = write_chain(folder / "evidence", *runs)
    write_pack(bundle, briefing(bundle, signed=signed, **changes), folder / PLACE)
    return folder / PLACE


def page_of(folder, language="fr") -> str:
    return (folder / f"pack.{language}.html").read_text(encoding="utf-8")


def standings(facts) -> dict[str, Standing]:
    return {number.name: number.measure.standing for number in six_numbers(facts, NO_HISTORY)}


def test_edits_that_cannot_be_written_back_are_counted_once_a_kind_the_most_frequent_first(tmp_path):
    none, long = Text("sans place", "no place"), Text("nom trop long", "name too long")
    kinds = ((long, "nom", 4), (none, "rue", 3), (none, "lieu", 2))
    facts = whole_facts(degraded=tuple(DegradedWriteBack(kind, "t", column, count) for kind, column, count in kinds))

    said = text_of(page_of(pack(tmp_path, facts)))

    assert "sans place : 5, nom trop long : 4." in said.replace("\u202f", " ").replace("\xa0", " ")


@pytest.mark.parametrize("name", STATES)
def test_every_state_of_a_pack_keeps_its_promises_in_both_languages_and_is_sound(tmp_path, name):
    facts, signed, after = STATES[name]()
    folder = pack(tmp_path, differing(40), facts, signed=signed, built_at=NOW + after)

    for language in ("fr", "en"):
        html = page_of(folder, language)
        assert find_broken_promises(html) == []
        assert len(html.encode()) < 60_000
        assert all((folder / link).is_file() for link in Outline(html).files)
    assert verify_pack(folder).problems == ()


def test_six_numbers_are_measured_or_said_not_to_be():
    assert standings(whole_facts()) == {
        "open_work": Standing.REACHED,
        "history": Standing.REACHED,
        "evidence": Standing.NOT_CONCERNED,
        "statistics": Standing.REACHED,
        "queries": Standing.NOT_ASKED,
        "retention": Standing.REACHED,
    }


def test_nothing_is_deduced_from_silence():
    silent = with_level(whole_facts(), LevelResult("L5", LevelState.PASS, "", {"parts": ""}))
    absent = replace(whole_facts(), levels=(), record_counts=())
    unconcerned = with_level(whole_facts(), LevelResult("L5", LevelState.PASS, "", {"parts": "open_work+statistics"}))

    assert standings(silent)["open_work"] is Standing.NOT_RUN
    assert standings(absent) == {
        "open_work": Standing.NOT_RUN,
        "history": Standing.NOT_RUN,
        "evidence": Standing.NOT_CONCERNED,
        "statistics": Standing.NOT_RUN,
        "queries": Standing.NOT_ASKED,
        "retention": Standing.NOT_ASKED,
    }
    assert standings(unconcerned)["statistics"] is Standing.NOT_CONCERNED


PIECES = (
    ColumnComparison("document", "title", "verbatim", 400, 400, 0),
    ColumnComparison("document", "body", "verbatim", 398, 398, 0),
    ColumnComparison("evidence", "seal_number", "verbatim", 61, 61, 0),
    ColumnComparison("case_file", "case_number", "verbatim", 9_000, 9_000, 0),
)


def test_documents_and_seals_are_counted_as_they_were_compared_and_missed_by_one_that_differs():
    facts = replace(whole_facts(), closure="38.documents+custody", columns=PIECES)
    cause = CauseFact("C-01", "document", "title", Text.same("cut"), 2)
    broken = tuple(replace(each, state=LevelState.FAIL) if each.level == "L4" else each for each in facts.levels)
    wrong = replace(facts, causes=(cause,), levels=broken)
    unrun = tuple(each for each in facts.levels if each.level != "L4")

    measures = {
        name: six_numbers(each, NO_HISTORY)[2].measure
        for name, each in (
            ("same", facts),
            ("wrong", wrong),
            ("excused", replace(facts, causes=(replace(cause, sentence=Text.same(EXPLAINED)),))),
            ("elsewhere", replace(facts, causes=(replace(cause, table="case_file"),))),
            ("unrun", replace(facts, levels=unrun)),
            ("without", replace(facts, columns=PIECES[3:])),
            ("other domains", replace(facts, closure="38.cases+vehicles")),
        )
    }

    assert {name: (each.standing.value, each.gap) for name, each in measures.items()} == {
        "same": ("REACHED", 0),
        "wrong": ("MISSED", 2),
        "excused": ("REACHED", 0),
        "elsewhere": ("REACHED", 0),
        "unrun": ("NOT RUN", None),
        "without": ("NOT CONCERNED", None),
        "other domains": ("NOT CONCERNED", None),
    }
    assert [said.en for said in measures["same"].sentences][:2] == ["records compared: 461", "differences: 0"]


def test_each_number_is_missed_by_what_it_counts():
    late = replace(whole_facts(), record_counts=(expired_total(4),))
    rows = whole_facts().conservation
    lost = replace(whole_facts(), conservation=(replace(rows[0], rows=replace(rows[0].rows, loaded=11_997)), rows[1]))
    figures = {**level_five().figures, "statistics_state": "FAIL", "statistics_different": 6}
    odd = with_level(whole_facts(), LevelResult("L5", LevelState.FAIL, "", figures))

    assert standings(missing_names(whole_facts(), 3))["open_work"] is Standing.MISSED
    assert standings(late)["retention"] is Standing.MISSED
    assert standings(lost)["history"] is Standing.MISSED
    assert standings(odd)["statistics"] is Standing.MISSED
    assert standings(differing(3))["history"] is Standing.MISSED
    assert standings(waived_facts())["history"] is Standing.WAIVED


def test_a_page_says_threshold_measure_trend_and_list_of_each_number(tmp_path):
    folder = pack(tmp_path, missing_names(whole_facts(), 37), missing_names(whole_facts(), 3), whole_facts())
    text = text_of(page_of(folder))

    assert "Chaque affaire vivante y est-elle, par son nom\u202f? 100 %, nom par nom" in text
    assert f"2{NARROW}100 sur 2{NARROW}100" in text
    assert "37 → 3 → 0 Atteint liste E1\u202f: vide" in text
    assert f"42{NARROW}433 lues" in text
    assert "Non demandé pas de liste" in text
    assert "moins de 0,99\u202f% des dossiers diffèrent" in text


def test_the_list_of_a_number_holds_each_exception_without_a_name(tmp_path):
    folder = pack(tmp_path, missing_names(whole_facts(), 3), signed=False)
    lines = list(csv.reader(io.StringIO((folder / "exceptions" / "E1-open-work.csv").read_text("utf-8-sig"))))

    assert len(lines) == 4
    assert lines[1][:3] == ["L5", "case_file", ""]
    assert re.fullmatch("[0-9a-f]{32}", lines[1][3])
    assert lines[1][4] == "procédures en cours\u202f: seul l’ancien système la connaît"
    assert "liste E1\u202f: 3" in text_of(page_of(folder))


def test_the_way_back_is_promised_with_its_rehearsal_or_said_not_to_be_proved(tmp_path):
    proved = text_of(page_of(pack(tmp_path / "1", whole_facts())))
    never = text_of(page_of(pack(tmp_path / "2", whole_facts(), promise=Promise(90, is_open=False))))
    late = Rehearsed(MEASURED - timedelta(days=20), 221_000, 1_240, 2)
    old = page_of(pack(tmp_path / "3", whole_facts(), promise=Promise(90, is_open=False, seconds=221, rehearsed=late)))

    assert "Après la bascule\u202f: oui, pendant 90 jours, en 3 minutes 41 secondes environ." in proved
    assert "Dernière répétition\u202f: 19 novembre 2026\u202f; 3 minutes 41 secondes de retour" in proved
    assert "Le retour n’a jamais été répété\u202f: cette promesse n’est pas prouvée." in never
    assert "Plus de 14 jours\u202f: à répéter avant de décider." in text_of(old)
    assert "Cette répétition a perdu des saisies." in text_of(old)
    assert 'class="promise waived"' in old


def test_a_way_back_that_is_blocked_is_no(tmp_path):
    blocked = Promise(90, is_open=False, blocked_by=(Text("la barrière n’est pas scellée", "not sealed"),))
    html = page_of(pack(tmp_path, whole_facts(), phase=Phase.LIVE, owner=Side.CANONICAL, promise=blocked))

    assert 'class="promise nogo"' in html
    assert "Non, pas en ce moment." in text_of(html)
    assert "la barrière n’est pas scellée" in text_of(html)


def test_reservations_have_an_owner_and_a_date_and_those_of_the_evidence_join_them(tmp_path):
    text = text_of(page_of(pack(tmp_path, waived_facts())))

    assert "1 Trois agents non formés. J. Collet 2 décembre 2026" in text
    assert "3 Dérogation 7\u202f: L4 person_identity.birth_date, corrigé au prochain chargement S. Oriol" in text
    assert f"4 32 lignes et 1{NARROW}204 champs en quarantaine personne de désigné sans date" in text


def test_a_pack_that_nobody_declared_anything_for_says_so(tmp_path):
    text = text_of(page_of(pack(tmp_path, whole_facts(), declared=None)))

    assert "Non déclaré Personne n’a rempli le fichier du dossier" in text
    assert "Autoriser la bascule de 38.cases + vehicles vers le nouveau système." in text
    assert "Personne n’a déclaré de vérification." in text
    assert "Personne n’est désigné." in text


def test_a_no_go_asks_no_decision(tmp_path):
    text = text_of(page_of(pack(tmp_path, missing_names(whole_facts(), 3), signed=False)))

    assert "Décision demandée. Aucune, tant que le verdict est NO-GO." in text


def test_the_pages_print_the_hash_of_the_evidence_and_the_bundle_inside_gives_it(tmp_path):
    folder = pack(tmp_path, whole_facts())
    found = verify_pack(folder)

    grouped = " ".join(found.evidence_id[at : at + 8] for at in range(0, 64, 8))
    assert grouped in page_of(folder)
    assert (folder / "evidence" / found.evidence_id / "FILES.sha256").is_file()
    assert verify_pack(folder, evidence_id=found.evidence_id).is_sound
    assert verify_pack(folder, evidence_id="0" * 64).problems == ("the evidence is not the one that was signed",)
    assert (found.verdict, found.digest[:8] in page_of(folder)) == ("GO", True)


def test_the_same_pack_is_made_again_byte_for_byte_elsewhere(tmp_path):
    folder = pack(tmp_path, differing(3), whole_facts())
    moved = tmp_path / "usb" / PLACE
    shutil.copytree(folder, moved)

    shutil.rmtree(tmp_path / "evidence")
    shutil.rmtree(folder)

    assert verify_pack(moved).is_sound
    assert [len(number.gaps) for number in read_pack(moved).numbers][1] == 2


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda at: (at / "pack.fr.html").write_text("GO"), "pack.fr.html is not what this version"),
        (lambda at: (at / "pack.en.html").unlink(), "pack.en.html is missing"),
        (lambda at: (at / "exceptions" / "E1-open-work.csv").write_text(""), "E1-open-work.csv is not what"),
        (lambda at: (at / "more.html").write_text("x"), "more.html does not belong"),
        (lambda at: (at / "evidence" / "x").mkdir() or (at / "evidence" / "x" / "y").write_text(""), "x/y does not"),
        (lambda at: (at / "pack.json").write_text("{}"), "pack.json cannot be read"),
        (lambda at: (at / "pack.json").write_bytes((at / "pack.json").read_bytes() + b" "), "not written as banyan"),
        (lambda at: next((at / "evidence").glob("*/manifest.json")).write_text("{}"), "the evidence is not what"),
        (lambda at: (at / "pack.json").unlink(), "pack.json cannot be read"),
    ],
)
def test_whatever_is_changed_in_a_pack_is_found(tmp_path, harm, said):
    folder = pack(tmp_path, whole_facts())

    harm(folder)

    found = verify_pack(folder)
    assert not found.is_sound
    assert said in " ".join(found.problems)


def test_a_reservation_taken_out_shows_on_both_pages_and_in_the_digest(tmp_path):
    folder = pack(tmp_path, whole_facts())
    before = verify_pack(folder)
    changed = replace(read_pack(folder).briefing, declared=declared(reservations=()))
    (folder / "pack.json").write_bytes(canonical_json.encode(changed))

    found = verify_pack(folder)

    assert found.digest != before.digest
    assert len([problem for problem in found.problems if "is not what" in problem]) == 3


def test_a_signature_that_does_not_verify_is_named_and_gives_no_go_ahead(tmp_path):
    bundle = write_chain(tmp_path / "evidence", whole_facts())
    true = briefing(bundle)
    forged = (replace(true.sign_offs[0], actor="A. Delmas", role="lead"), true.sign_offs[0])
    write_pack(bundle, replace(true, sign_offs=forged), tmp_path / PLACE)

    found = verify_pack(tmp_path / PLACE)

    assert found.verdict == "AWAITING"
    assert found.problems == ("the signature of A. Delmas does not count: signature that does not verify",)


def test_a_pack_is_never_written_over_another(tmp_path):
    folder = pack(tmp_path, whole_facts())
    bundle = write_chain(tmp_path / "again", whole_facts())

    with pytest.raises(UsageError, match="no pack was written"):
        write_pack(bundle, briefing(bundle), folder)

    assert verify_pack(folder).is_sound


def test_hostile_words_in_the_file_of_the_pack_act_nowhere(tmp_path):
    hostile = [Text.same(words) for words in HOSTILE]
    written = declared(
        number=HOSTILE[0],
        reservations=tuple(Reservation(each, HOSTILE[1], "2026-12-02") for each in hostile),
        unknown=tuple(hostile),
        decides=(HOSTILE[0], HOSTILE[3]),
        signs={"commander": HOSTILE[5]},
    )
    folder = pack(tmp_path, whole_facts(), declared=written)

    html = page_of(folder)
    assert find_broken_promises(html) == []
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]", html)
    assert "8 lignes de plus dans la liste R2." in text_of(html)
    sheet = (folder / "exceptions" / "R2-reservations.csv").read_text("utf-8-sig")
    assert all(not re.match(r"\s*[=+\-@]", cell) for line in csv.reader(io.StringIO(sheet)) for cell in line)
    assert verify_pack(folder).is_sound


def test_hostile_names_act_on_no_terminal(tmp_path, capsys):
    folder = pack(tmp_path, whole_facts())
    (folder / f"x{ESCAPE}{OVERRIDE}").write_text("")

    code = run(["pack", "verify", str(folder)])

    said = capsys.readouterr()
    assert code == 3
    assert "NOT SOUND" in said.out
    assert "\u241b[2J" in said.out
    assert ESCAPE not in said.out + said.err
    assert "\u202e" not in said.out + said.err


def test_verify_says_the_verdict_and_both_hashes_without_a_project(tmp_path, capsys, monkeypatch):
    folder = pack(tmp_path, whole_facts())
    monkeypatch.chdir(tmp_path)

    assert run(["pack", "verify", PLACE, "--json"]) == 0

    told = json.loads(capsys.readouterr().out)
    assert (told["sound"], told["verdict"], told["problems"]) == (True, "GO", [])
    assert told["evidence_id"] == verify_pack(folder).evidence_id
    assert run(["pack", "verify", PLACE, "--id", "0" * 64, "--json"]) == 3


def test_masked_means_absent_from_every_file_of_a_pack(tmp_path):
    folder = pack(tmp_path, *(STATES[name]()[0] for name in ("no-go", "waived")), signed=False)

    assert [path for path in folder.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()] == []


def test_the_words_of_the_pack_say_the_same_in_both_languages_and_are_all_used():
    from pathlib import Path

    folder = Path(__file__).parents[2] / "validation"
    sources = (folder / "report" / "pack.html.j2").read_text() + (folder / "pack_page.py").read_text()
    for name, text in PACK.items():
        french, english = ({field for _, field, _, _ in Formatter().parse(words)} for words in (text.fr, text.en))
        assert french == english, name
        assert NARROW not in text.en, name
        assert f"'{name}'" in sources or f'"{name}"' in sources or name[:2] in ("n_", "q_", "t_"), name


@pytest.mark.browser
def test_a_pack_opens_without_one_request_and_prints_on_two_sheets(tmp_path):
    said = Text("Une phrase aussi longue que le fichier le permet. " * 3, "As long as the file lets it be. " * 5)
    name = "Lieutenant-colonel A.-L. de la Perrièree"
    longest = Text(said.fr[:140], said.en[:140])
    written = declared(
        decision=longest,
        changes=(longest,) * 2,
        keeps=(longest,) * 2,
        morning=(longest,) * 3,
        unknown=(longest,) * 2,
        reservations=(Reservation(longest, name, "2026-12-02"),) * 20,
        checked=(Checker(name, "steward", longest),) * 3,
        decides=(name, name),
        signs={"commander": name, "security": name},
    )
    folder = pack(tmp_path, differing(12), waived_facts(), declared=written)

    shown, requests = open_in_browser(tmp_path / "browser", folder / "pack.fr.html")

    assert requests == set()
    assert "Content Security Policy" not in shown.stderr
    assert count_printed_sheets(tmp_path / "browser", folder / "pack.fr.html") == 2
    assert count_printed_sheets(tmp_path / "browser", folder / "pack.en.html") == 2
