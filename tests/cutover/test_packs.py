"""A pack from a real closure: judged, declared, built, and made again without any of the servers it came from."""

from datetime import date
from pathlib import Path

import pytest
from switches import build_switch_world

from banyan.errors import ConfigurationError, UsageError
from cutover.judgement import judge_closure
from cutover.pack_file import read_declared
from cutover.packs import build_pack
from cutover.pages import write_pages, write_tables
from validation.pack import verify_pack
from validation.story import Story, WayBack

CLOSURE = "38.cases+vehicles"
DECLARED = """
number: 38-02
decision: {fr: Autoriser la bascule., en: Allow the switch.}
reservations:
  - {fr: Trois agents non formés., en: Three officers not trained., owner: J. Collet, due: 2026-12-02}
checked:
  - {name: H. Brossard, role: steward, fr: 299 dossiers lus., en: 299 files read.}
decides: [P. Aubry, N. Tessier]
signs: {commander: P. Aubry}
"""


def write_file(folder: Path, text: str) -> None:
    (folder / "packs").mkdir(exist_ok=True)
    (folder / "packs" / f"{CLOSURE}.yaml").write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def world(cluster, tmp_path_factory):
    made = build_switch_world(cluster, tmp_path_factory.mktemp("packs") / "project")
    yield made
    made.rig.workspace.close()


@pytest.mark.server
@pytest.mark.torture
def test_a_pack_of_a_judged_closure_is_sound_without_its_servers(world, tmp_path):
    rig = world.rig
    with pytest.raises(UsageError, match="no evidence yet; no pack was written"):
        build_pack(rig, CLOSURE, folder=tmp_path)
    write_file(rig.workspace.project.folder, DECLARED)
    judged = judge_closure(rig, CLOSURE)

    pack, folder = build_pack(rig, CLOSURE, folder=tmp_path)

    found = verify_pack(folder)
    assert found.problems == ()
    assert found.evidence_id == judged.bundle.evidence_id
    assert found.verdict == judged.judgement.kind.value
    assert pack.number == "38-02"
    assert pack.reservations[0].owner == "J. Collet"
    measured = {number.name: number.measure for number in pack.numbers}
    assert measured["history"].gap is not None
    assert measured["open_work"].gap is not None
    assert measured["queries"].standing.value == "NOT ASKED"
    assert measured["evidence"].standing.value == "NOT CONCERNED", "neither documents nor seals are in this closure"
    assert pack.briefing.promise.rehearsed is None
    html = (folder / "pack.fr.html").read_text(encoding="utf-8")
    assert "Le retour n’a jamais été répété" in html
    assert str(tmp_path) not in html

    story = Story(pack.briefing.phase, pack.briefing.owner, WayBack(is_open=False))
    pages = write_pages(judged.facts, judged.judgement, judged.bundle, story, folder=tmp_path / "report")
    tables = write_tables(judged.facts, judged.bundle, folder=tmp_path / "report" / "tables")
    assert all(path.stat().st_size < 80_000 for path in pages.values()), "a page one can mail"
    assert {path.suffix for path in tables} == {".csv", ".xlsx"}


def test_the_file_of_a_pack_is_read_exactly(tmp_path):
    assert read_declared(tmp_path, CLOSURE) is None
    write_file(tmp_path, DECLARED)

    declared = read_declared(tmp_path, CLOSURE)

    assert declared is not None
    assert declared.reservations[0].due == date(2026, 12, 2).isoformat()
    assert declared.decides == ("P. Aubry", "N. Tessier")
    assert declared.decision is not None
    assert declared.decision.en == "Allow the switch."


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("number: [", "not valid YAML"),
        ("numbers: 1", "numbers: Extra inputs"),
        ("reservations: [{fr: a, en: b, due: 2026-12-02}]", "reservations.0.owner: Field required"),
        ("reservations: [{fr: a, en: b, owner: c}]", "reservations.0.due: Field required"),
        (f"unknown: [{{fr: {'a' * 141}, en: b}}]", "unknown.0.fr: String should have at most 140"),
    ],
)
def test_a_file_that_is_wrong_is_refused_at_its_place(tmp_path, text, said):
    write_file(tmp_path, text)

    with pytest.raises(ConfigurationError) as refused:
        read_declared(tmp_path, CLOSURE)

    assert f"packs/{CLOSURE}.yaml" in refused.value.message
    assert said in refused.value.message
    assert "no pack was written" in refused.value.message
