"""Evidence: the same facts give the same identifier, and nothing can be changed unseen."""

import csv
import io
import json
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_evidence import DIGEST_KEY, HOSTILE, MEASURED, SECRET, failing_facts, good_facts, hostile_facts

from banyan.canonical.model import Sensitivity
from banyan.errors import UsageError
from banyan.findings import Finding, FindingKind, LevelResult, LevelState, Severity
from validation import canonical_json
from validation.evidence import ProblemKind, verify_bundle, verify_chain, walk_chain, write_bundle
from validation.facts import EvidenceFacts, FindingLine, pseudonymous
from validation.masking import mask, mask_bytes, pseudonym, show
from validation.visible import csv_cell, visible


def kinds(folder: Path, **expected: str) -> set[tuple[ProblemKind, str]]:
    return {(problem.kind, problem.file) for problem in verify_bundle(folder, **expected).problems}


def test_the_identifier_is_what_sha256sum_prints_for_the_list_of_files(tmp_path: Path) -> None:
    bundle = write_bundle(good_facts(), tmp_path / "one", previous_id=None)

    checked = subprocess.run(
        ["sha256sum", "--check", "--strict", "FILES.sha256"], cwd=bundle.folder, capture_output=True, text=True
    )
    printed = subprocess.run(["sha256sum", "FILES.sha256"], cwd=bundle.folder, capture_output=True, text=True)

    assert checked.returncode == 0
    assert checked.stdout.count(": OK\n") == 8
    assert printed.stdout == f"{bundle.evidence_id}  FILES.sha256\n"


def test_the_same_facts_measured_again_give_the_same_identifier(tmp_path: Path) -> None:
    first = write_bundle(good_facts(), tmp_path / "one", previous_id=None)
    later = good_facts(measured_at=MEASURED + timedelta(days=3), run="19")
    second = write_bundle(later, tmp_path / "two", previous_id=None)

    assert first.evidence_id == second.evidence_id
    assert {p.name for p in first.folder.iterdir() if p.name != "run.json"} == {
        "FILES.sha256", "columns.csv", "conservation.csv", "findings.csv", "levels.json", "lists.csv",
        "manifest.json", "totals.csv", "waivers.csv",
    }  # fmt: skip


def test_other_facts_or_another_predecessor_give_another_identifier(tmp_path: Path) -> None:
    identifiers = {
        write_bundle(good_facts(), tmp_path / "1", previous_id=None).evidence_id,
        write_bundle(good_facts(), tmp_path / "2", previous_id="ab" * 32).evidence_id,
        write_bundle(good_facts(degraded=()), tmp_path / "3", previous_id=None).evidence_id,
        write_bundle(good_facts(findings=()), tmp_path / "4", previous_id=None).evidence_id,
    }

    assert len(identifiers) == 4


def test_a_sound_bundle_gives_its_facts_back(tmp_path: Path) -> None:
    facts = failing_facts()
    bundle = write_bundle(facts, tmp_path / "one", previous_id=None)

    found = verify_bundle(bundle.folder, evidence_id=bundle.evidence_id)

    assert found.is_sound
    assert found.facts == replace(facts, run="")
    assert [(reason.kind.value, reason.level) for reason in found.reasons] == [("FAIL", "L4")]


def test_writing_the_same_evidence_twice_leaves_the_folder_as_it_is(tmp_path: Path) -> None:
    bundle = write_bundle(good_facts(), tmp_path / "one", previous_id=None)
    before = {p.name: p.stat().st_mtime_ns for p in bundle.folder.iterdir()}

    again = write_bundle(good_facts(run="20"), tmp_path / "one", previous_id=None)

    assert again.evidence_id == bundle.evidence_id
    assert {p.name: p.stat().st_mtime_ns for p in bundle.folder.iterdir()} == before


def test_a_folder_that_holds_something_else_is_not_replaced(tmp_path: Path) -> None:
    bundle = write_bundle(good_facts(), tmp_path / "one", previous_id=None)

    with pytest.raises(UsageError, match="nothing was written"):
        write_bundle(failing_facts(), tmp_path / "one", previous_id=None)

    assert verify_bundle(bundle.folder, evidence_id=bundle.evidence_id).is_sound


def test_a_write_that_dies_leaves_no_folder_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(Path, "rename", die)
    with pytest.raises(OSError, match="no space"):
        write_bundle(good_facts(), tmp_path / "one", previous_id=None)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name",
    ["columns.csv", "conservation.csv", "findings.csv", "levels.json", "lists.csv", "manifest.json", "totals.csv"],
)
def test_one_changed_byte_is_found_in_any_file(tmp_path: Path, name: str) -> None:
    folder = write_bundle(good_facts(), tmp_path / "one", previous_id=None).folder
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(bytes(content))

    assert (ProblemKind.CHANGED, name) in kinds(folder)


def test_a_missing_an_extra_and_a_linked_file_are_found(tmp_path: Path) -> None:
    folder = write_bundle(good_facts(), tmp_path / "one", previous_id=None).folder
    (folder / "totals.csv").unlink()
    (folder / "more.csv").write_text("x")
    (folder / "way.csv").symlink_to(folder / "columns.csv")

    found = kinds(folder)

    assert (ProblemKind.MISSING, "totals.csv") in found
    assert (ProblemKind.EXTRA, "more.csv") in found
    assert (ProblemKind.EXTRA, "way.csv") in found


def test_a_cut_list_of_files_is_found_even_when_the_file_is_gone_too(tmp_path: Path) -> None:
    bundle = write_bundle(good_facts(), tmp_path / "one", previous_id=None)
    folder = bundle.folder
    lines = (folder / "FILES.sha256").read_text().splitlines(keepends=True)
    (folder / "FILES.sha256").write_text("".join(line for line in lines if "findings" not in line))
    (folder / "findings.csv").unlink()
    rename_run(folder)

    assert (ProblemKind.LIST, "FILES.sha256") in kinds(folder, evidence_id=bundle.evidence_id)
    assert ProblemKind.UNREADABLE in {kind for kind, _ in kinds(folder)}


def test_findings_cut_and_listed_anew_contradict_the_levels(tmp_path: Path) -> None:
    folder = write_bundle(good_facts(), tmp_path / "one", previous_id=None).folder
    lines = (folder / "findings.csv").read_text().splitlines(keepends=True)
    (folder / "findings.csv").write_text(lines[0])
    list_anew(folder)

    assert kinds(folder) == {(ProblemKind.CHANGED, "levels.json")}


def test_a_verdict_rewritten_with_all_its_hashes_is_recomputed_and_found(tmp_path: Path) -> None:
    folder = write_bundle(failing_facts(), tmp_path / "one", previous_id=None).folder
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["conclusion"] = {"is_no_go": False, "reasons": []}
    (folder / "manifest.json").write_bytes(canonical_json.encode(manifest))
    list_anew(folder)

    assert kinds(folder) == {(ProblemKind.CONCLUSION, "manifest.json")}


def test_a_chain_names_each_predecessor(tmp_path: Path) -> None:
    first = write_bundle(good_facts(), tmp_path / "1", previous_id=None)
    second = write_bundle(good_facts(degraded=()), tmp_path / "2", previous_id=first.evidence_id)
    third = write_bundle(failing_facts(), tmp_path / "3", previous_id=second.evidence_id)

    whole = verify_chain([first.folder, second.folder, third.folder])
    cut = verify_chain([first.folder, third.folder])

    assert all(each.is_sound for each in whole)
    assert [problem.kind for problem in cut[1].problems] == [ProblemKind.CHAIN]


def test_an_empty_folder_and_no_folder_are_not_evidence(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    assert not verify_bundle(tmp_path / "empty").is_sound
    assert not verify_bundle(tmp_path / "none").is_sound


def test_a_raw_key_cannot_enter_evidence() -> None:
    finding = Finding(FindingKind.DIFFERS, Severity.BLOCK, "t_personne", SECRET, "surname", "accents lost")
    level = LevelResult("L4", LevelState.FAIL, "rows differ", {}, (finding,))

    with pytest.raises(ValueError, match="raw keys"):
        good_facts(levels=(level,))
    with pytest.raises(ValueError, match="pseudonym"):
        FindingLine("L4", FindingKind.DIFFERS, Severity.BLOCK, "t_personne", SECRET)


def test_findings_are_written_under_keyed_pseudonyms_only(tmp_path: Path) -> None:
    finding = Finding(FindingKind.DIFFERS, Severity.WARN, "t_personne", SECRET, "surname", "accents lost")
    levels, lines = pseudonymous([LevelResult("L3", LevelState.PASS, "", {}, (finding,))], DIGEST_KEY)

    folder = write_bundle(good_facts(levels=levels, findings=lines), tmp_path / "one", previous_id=None).folder

    sheet = (folder / "findings.csv").read_text()
    assert pseudonym(DIGEST_KEY, "t_personne", SECRET) in sheet
    assert pseudonym(b"another key", "t_personne", SECRET) not in sheet
    assert not any(SECRET.encode() in each.read_bytes() for each in folder.iterdir())


def test_hostile_content_is_disarmed_in_every_sheet(tmp_path: Path) -> None:
    folder = write_bundle(hostile_facts(), tmp_path / "one", previous_id=None).folder

    assert verify_bundle(folder).is_sound
    for sheet in folder.glob("*.csv"):
        text = sheet.read_text(encoding="utf-8")
        assert not any(sign in text for sign in ("\x1b", "\x00", "\u202e", "\t"))
        for line in csv.reader(io.StringIO(text)):
            assert not any(cell[:1] in "=+@\r" and cell for cell in line)
            assert not any(cell.startswith("-") and not cell[1:].replace(".", "").isdigit() for cell in line)
    assert "\u241b[2J" in (folder / "lists.csv").read_text(encoding="utf-8")
    assert "\u27e6U+202E\u27e7" in (folder / "lists.csv").read_text(encoding="utf-8")
    assert (folder / "manifest.json").read_bytes().isascii()


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("=1+1", "'=1+1"),
        (" =1+1", "' =1+1"),
        ("+33", "'+33"),
        ("-1+1", "'-1+1"),
        ("-189", "-189"),
        ("-18.50", "-18.50"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\tx", "'\u2409x"),
        ("\rx", "'\u240dx"),
        ("a;=1", "a;'=1"),
        ("\uff1d1", "'\uff1d1"),
        ("DURAND", "DURAND"),
        ("", ""),
    ],
)
def test_a_cell_never_starts_a_formula(cell: str, expected: str) -> None:
    assert csv_cell(cell) == expected


def test_invisible_characters_become_symbols_and_french_stays() -> None:
    assert visible("\x1b[2J\x00\x7f") == "\u241b[2J\u2400\u2421"
    assert (
        visible("\u202e\u200b\u2028\ud800")
        == "\u27e6U+202E\u27e7\u27e6U+200B\u27e7\u27e6U+2028\u27e7\u27e6U+D800\u27e7"
    )
    assert visible("\U000e0041") == "\u27e6U+E0041\u27e7"
    assert visible("Été «\u202f1\u202f204\u202f», œuvre") == "Été «\u202f1\u202f204\u202f», œuvre"


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        ("DURANT", "D****T"),
        ("1956-03-12", "19**-**-12"),
        ("19800231", "19****31"),
        ("12/03/1956", "12/**/19**"),
        ("LI", "**"),
        ("DURAND EP. MARTIN", "D***** **. *****N"),
        ("06 12 34 56 78", "** ** ** ** **"),
        ("AB-123-CD", "A*-***-*D"),
        ("", ""),
        ("a" * 40, "a" + "*" * 31 + "\u2026 (40)"),
    ],
)
def test_a_mask_keeps_the_shape_only(value: str, shape: str) -> None:
    assert mask(value).text == shape


@settings(max_examples=50, deadline=None)
@given(st.text(min_size=4, max_size=60))
def test_a_mask_lets_at_most_two_letters_and_no_digit_through(value: str) -> None:
    shape = mask(value).text.partition("\u2026")[0]

    assert sum(map(str.isalnum, shape)) <= 2
    assert not any(sign.isdigit() for sign in shape)


def test_raw_bytes_are_masked_as_strictly_and_null_is_not_empty() -> None:
    assert mask_bytes(b"\xc4\xe4\xd9").text == "** ** **"
    assert not mask(None).is_masked
    assert mask("").is_masked
    assert show("M", Sensitivity.NONE).text == "M"
    assert show("DURANT", Sensitivity.IDENTITY).text == "D****T"
    assert show("RECIDIVE", Sensitivity.CASE).is_masked


def test_facts_survive_canonical_json_and_a_float_is_refused() -> None:
    facts = failing_facts()
    plain = json.loads(canonical_json.encode(facts))

    assert canonical_json.from_plain(EvidenceFacts, plain) == facts
    assert isinstance(canonical_json.from_plain(EvidenceFacts, plain).control_totals[1].legacy, Decimal)
    with pytest.raises(TypeError):
        canonical_json.encode({"rate": 0.1})


def test_hostile_texts_are_kept_exactly_in_the_manifest(tmp_path: Path) -> None:
    folder = write_bundle(hostile_facts(), tmp_path / "one", previous_id=None).folder

    rebuilt = verify_bundle(folder).facts

    assert rebuilt is not None
    assert tuple(total.label.fr for total in rebuilt.control_totals) == HOSTILE


def list_anew(folder: Path) -> None:
    """Do what a forger does: write the list of files again."""
    names = sorted(p.name for p in folder.iterdir() if p.name not in ("FILES.sha256", "run.json"))
    lines = "".join(f"{sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names)
    (folder / "FILES.sha256").write_text(lines)
    rename_run(folder)


def rename_run(folder: Path) -> None:
    run = json.loads((folder / "run.json").read_text())
    run["evidence_id"] = sha256((folder / "FILES.sha256").read_bytes()).hexdigest()
    (folder / "run.json").write_text(json.dumps(run))


def test_a_chain_is_walked_back_to_its_first_and_a_missing_or_changed_bundle_is_found(tmp_path: Path) -> None:
    one = write_bundle(good_facts(), tmp_path / "1", previous_id=None)
    (tmp_path / "1").rename(tmp_path / one.evidence_id)
    two = write_bundle(good_facts(closure="38.cases"), tmp_path / "2", previous_id=one.evidence_id)

    whole = walk_chain(two.folder)
    assert [each.evidence_id for each in whole] == [two.evidence_id, one.evidence_id]
    assert all(each.is_sound for each in whole)

    (tmp_path / one.evidence_id / "totals.csv").write_text("kind\n")
    assert [each.is_sound for each in walk_chain(two.folder)] == [True, False]
    (tmp_path / one.evidence_id).rename(tmp_path / "elsewhere")
    assert [each.is_sound for each in walk_chain(two.folder)] == [True, False]


def test_a_bundle_is_verified_without_a_database_or_a_rule_library() -> None:
    script = (
        "import sys, validation.evidence\n"
        "loaded = {'great_expectations', 'psycopg', 'sqlalchemy', 'pandas', 'polars'} & set(sys.modules)\n"
        "print(sorted(loaded))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
