"""Signatures beside a bundle: offline, its holder is told who signed, and what is no signature of it."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from sample_evidence import MEASURED, good_facts

from banyan.departments import Actor
from cli.main import run
from validation import canonical_json
from validation.detached import Detached, Trust, find_detached, write_detached
from validation.evidence import verify_bundle, write_bundle
from validation.sign_off import Decision, make_key_file, read_key_file, sign

CLOSURE = "38.cases+vehicles"


@pytest.fixture
def signed(tmp_path: Path):
    """A bundle in a project, signed by two people whose keys the project knows."""
    project = tmp_path / "project"
    (project / "keys").mkdir(parents=True)
    draft = write_bundle(good_facts(), project / "evidence" / "new", previous_id=None)
    bundle = draft.folder.rename(project / "evidence" / draft.evidence_id)
    files = []
    for name, role in (("claire", "steward"), ("paul aubry", "lead")):
        key = tmp_path / f"{name}.json"
        (project / "keys" / f"{name}.pub").write_text(make_key_file(key) + "\n")
        files += write_detached(bundle, draft.evidence_id, [made(key, draft.evidence_id, name, role)])
    return bundle, draft.evidence_id, files


def made(key: Path, evidence_id: str, name: str, role: str) -> Detached:
    pair = read_key_file(key)
    actor = Actor(name, role, "key file")
    sign_off = sign(pair, evidence_id, actor=actor, decision=Decision.ACCEPT, signed_at=MEASURED)
    return Detached(CLOSURE, sign_off, pair.public_key)


def told(found):
    return {(each.signature.sign_off.actor, each.signature.sign_off.role, each.trust) for each in found}


def test_a_bundle_tells_who_signed_it_and_its_own_bytes_are_untouched(signed):
    bundle, evidence_id, files = signed

    found = find_detached(bundle, evidence_id)

    assert told(found) == {("claire", "steward", Trust.KNOWN), ("paul aubry", "lead", Trust.KNOWN)}
    assert {path.parent for path in files} == {bundle.parent}
    assert verify_bundle(bundle, evidence_id=evidence_id).is_sound


def test_a_signature_is_written_once(signed):
    bundle, evidence_id, files = signed
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}
    held = [each.signature for each in find_detached(bundle, evidence_id)]

    again = write_detached(bundle, evidence_id, held)

    assert set(again) == set(files)
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files} == before


def test_far_from_the_project_a_signature_holds_and_nobody_says_whose_it_is(signed, tmp_path):
    bundle, evidence_id, files = signed
    away = tmp_path / "away" / "copied"
    for path in (bundle, *files):
        target = away / path.name
        shutil.copytree(path, target) if path.is_dir() else shutil.copy(path, target)

    alone = find_detached(away / bundle.name, evidence_id)
    with_keys = find_detached(away / bundle.name, evidence_id, keys=bundle.parent.parent / "keys")

    assert {trust for *_, trust in told(alone)} == {Trust.UNKNOWN}
    assert {trust for *_, trust in told(with_keys)} == {Trust.KNOWN}


FORGERIES = {
    "another role": lambda plain: plain | {"sign_off": plain["sign_off"] | {"role": "lead"}},
    "another decision": lambda plain: plain | {"sign_off": plain["sign_off"] | {"decision": "REFUSE"}},
    "another person": lambda plain: plain | {"sign_off": plain["sign_off"] | {"actor": "rose"}},
    "another evidence": lambda plain: plain | {"sign_off": plain["sign_off"] | {"evidence_id": "0" * 64}},
    "another format": lambda plain: plain | {"format": "banyan-signature/2"},
    "no signature": lambda plain: {"closure": CLOSURE},
}


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES)
def test_a_file_that_was_changed_is_no_signature(signed, forge):
    bundle, evidence_id, (path, other) = signed
    path.write_text(json.dumps(forge(json.loads(path.read_text()))))

    found = {each.file: each.trust for each in find_detached(bundle, evidence_id)}

    assert found == {path.name: Trust.BROKEN, other.name: Trust.KNOWN}


def test_a_signature_by_a_stranger_in_the_name_of_a_known_person_is_broken(signed, tmp_path):
    bundle, evidence_id, _ = signed
    make_key_file(tmp_path / "stranger.json")
    forged = made(tmp_path / "stranger.json", evidence_id, "claire", "steward")
    (path,) = write_detached(bundle, evidence_id, [forged])

    (found,) = [each for each in find_detached(bundle, evidence_id) if each.file == path.name]

    assert (found.trust, found.reason) == (Trust.BROKEN, "is under another key than the one known for this person")


def test_a_signature_of_another_evidence_does_not_stand_for_this_one(signed, tmp_path):
    bundle, evidence_id, files = signed
    other = replace(good_facts(), degraded=())
    draft = write_bundle(other, bundle.parent / "draft", previous_id=None)
    moved = bundle.parent / files[0].name.replace(evidence_id, draft.evidence_id)
    shutil.copy(files[0], moved)

    (found,) = find_detached(draft.folder, draft.evidence_id)

    assert (found.trust, found.reason) == (Trust.BROKEN, "was given for another evidence")


def test_verify_says_who_signed_and_a_broken_signature_is_a_no(signed, capsys):
    bundle, evidence_id, (path, _) = signed
    asked = ["validate", "verify", str(bundle), "--id", evidence_id, "--json"]

    assert run(asked) == 0
    sound = json.loads(capsys.readouterr().out)
    path.write_text(path.read_text().replace('"ACCEPT"', '"REFUSE"'))
    assert run(asked) == 3
    broken = json.loads(capsys.readouterr().out)

    assert {(each["actor"], each["role"], each["decision"], each["key"]) for each in sound["signatures"]} == {
        ("claire", "steward", "ACCEPT", "KNOWN"), ("paul aubry", "lead", "ACCEPT", "KNOWN")
    }  # fmt: skip
    assert (sound["sound"], broken["sound"]) == (True, False)
    assert broken["problems"] == [f"SIGNATURE {path.name}: does not verify"]


def test_what_a_file_holds_is_what_was_signed(signed):
    bundle, evidence_id, files = signed

    for path, each in zip(sorted(files), find_detached(bundle, evidence_id), strict=True):
        assert json.loads(path.read_text()) == canonical_json.to_plain(each.signature)
