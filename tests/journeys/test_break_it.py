"""Break it, see NO-GO with the record named; put it right, see the gate wait for its signatures again; and sign it.

The page docs/break-it.md tells this story; the commands are the same.
"""

import json
import os
import shutil
from pathlib import Path

import pytest
import yaml

import mappings
from banyan.config import load_project
from cli.estate_projects import create_estate_project
from cli.judgements import rig_of, tell_judged
from cli.main import run
from cutover.judgement import judge_closure
from estate.faults import FaultKind
from sync.workspace import opened
from validation.rules_worker import RuleWorker
from validation.sign_off import make_key_file
from wire.cleanup import destroy_clusters

pytestmark = [pytest.mark.server, pytest.mark.journey]
CLOSURE = "38.cases"
NAME = "38.cases+vehicles"
FAULTS = [kind.value for kind in FaultKind]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A synthetic department on embedded servers, its first copy made; who sits at the keyboard changes."""
    made = tmp_path_factory.mktemp("break") / "isere"
    before = os.environ.get("BANYAN_ACTOR")
    os.environ["BANYAN_ACTOR"] = "eva"
    create_estate_project(made, "XS", 1)
    described = yaml.safe_load((made / "banyan.yaml").read_text(encoding="utf-8"))
    described["people"] = {"eva": ["engineer"], "claire": ["steward"], "paul": ["lead"], "rose": ["steward"]}
    (made / "banyan.yaml").write_text(yaml.safe_dump(described, allow_unicode=True), encoding="utf-8")
    shutil.copytree(Path(mappings.__file__).parent / "rules" / "orion", made / "rules" / "orion", dirs_exist_ok=True)
    assert run(["-C", str(made), "load", "38"]) == 0
    yield made
    destroy_clusters(made)
    if before is None:
        del os.environ["BANYAN_ACTOR"]
    else:
        os.environ["BANYAN_ACTOR"] = before


@pytest.fixture
def banyan(folder, capsys):
    """Run a command as somebody; gives its exit code and its JSON, or what it complained of."""

    def command(*arguments, who="eva", code=0):
        os.environ["BANYAN_ACTOR"] = who
        capsys.readouterr()
        found = run(["-C", str(folder), *arguments, "--json"])
        said = capsys.readouterr()
        assert found == code, said.err
        return json.loads(said.out) if said.out.strip() else said.err

    return command


def judge(banyan, *more, code=0):
    return banyan("validate", "run", CLOSURE, *more, code=code)


def test_a_sound_copy_waits_for_two_signatures_and_its_buckets_are_folded(banyan):
    told = judge(banyan)

    assert told["verdict"] == "AWAITING"
    assert {level: found["state"] for level, found in told["levels"].items()} == dict.fromkeys(
        ("L0", "L1", "L2", "L3", "L4", "L5", "L6"), "PASS"
    )
    assert told["levels"]["L5"]["parts"] == "open_work+statistics+totals"
    assert told["not_asked"] == ["L5, sample compared to the paper", "L5, query replay"]


def test_a_record_changed_behind_our_back_is_no_go_by_name_and_go_once_it_is_put_right_and_two_people_signed(banyan):
    broken = banyan("break", "rogue-update", CLOSURE)
    told = judge(banyan, code=3)

    assert told["verdict"] == "NO-GO"
    foreign = [each for each in told["named"] if each["level"] == "L3"]
    assert [(each["table"], each["key"]) for each in foreign] == [
        ("person_identity", broken["records"][0].replace("-", ""))
    ]
    assert banyan("gate", "show", CLOSURE)["verdict"] == "NO-GO"

    assert NAME in banyan("break", "lost-row", "38.logbook", code=2)["message"]  # one at a time, and where it is
    assert banyan("break", "repair", CLOSURE)["repaired"] == "rogue-update"
    assert judge(banyan)["verdict"] == "AWAITING"
    banyan("gate", "sign", CLOSURE, "--as", "steward", who="claire")
    assert banyan("gate", "show", CLOSURE)["missing_signatures"] == ["lead"]
    banyan("gate", "sign", CLOSURE, "--as", "lead", who="paul")
    assert banyan("gate", "show", CLOSURE)["verdict"] == "GO"


def test_what_is_judged_again_without_any_change_is_the_same_evidence_with_its_signatures(banyan, folder):
    signed = banyan("gate", "show", CLOSURE)
    bundle = folder / "evidence" / signed["evidence_id"]
    before = {path.name: path.read_bytes() for path in bundle.iterdir()}
    bundles = {path.name for path in (folder / "evidence").iterdir()}

    told = judge(banyan)

    assert (told["evidence_id"], told["verdict"]) == (signed["evidence_id"], "GO")
    assert {path.name: path.read_bytes() for path in bundle.iterdir()} == before
    assert {path.name for path in (folder / "evidence").iterdir()} == bundles
    assert banyan("validate", "verify", str(bundle), "--chain")["sound"] is True


@pytest.fixture(scope="module")
def worker():
    """One process for the rules of all faults: it takes longer to be ready than a small closure to be judged."""
    with RuleWorker() as one:
        yield one


@pytest.fixture
def judged(folder, worker):
    """Judge a closure as `validate run` does, and tell what it tells."""

    def judge_with_worker(closure):
        with opened(load_project(folder)) as workspace:
            return tell_judged(judge_closure(rig_of(workspace, closure), closure, worker=worker))

    return judge_with_worker


def named_by(told, level):
    return {(each["table"], each["column"], each["cause"]) for each in told["named"] if each["level"] == level}


SMALL = "38.documents"
SEEN = {
    "lost-row": ("L4", {("document", "", "no record in canonical")}),
    "doubled-row": ("L4", {("document", "", "no legacy row is known")}),
    "swapped-column": (
        "L4", {("document", "document_number", "other value"), ("document", "title", "other value")}
    ),
    "truncated-text": ("L4", {("document", "title", "cut")}),
    "shifted-zone": ("L4", {("document", "drawn_up_at", "instant differs")}),
    "rogue-update": ("L3", {("document", "", "written by nobody known")}),
}  # fmt: skip


@pytest.mark.parametrize("kind", SEEN)
def test_each_fault_is_named_by_its_level_and_shuts_the_gate_until_it_is_put_right(banyan, judged, kind):
    level, expected = SEEN[kind]
    if kind == next(iter(SEEN)):
        assert judged(SMALL)["verdict"] == "AWAITING"

    broken = banyan("break", kind, SMALL)
    told = judged(SMALL)
    shown = banyan("gate", "show", SMALL)
    explained = banyan("recon", "explain", SMALL, code=3)
    banyan("break", "repair", SMALL)

    assert broken["found_by"] == level
    assert told["verdict"] == shown["verdict"] == "NO-GO"
    assert told["levels"][level]["state"] == "FAIL"
    assert named_by(told, level) == expected
    rows = {each["key"] for each in told["named"] if each["level"] == level}
    assert len(rows) == broken["count"] == (5 if kind == "shifted-zone" else 1)
    seen_by_rows = {(each["table"], each["column"] or "", each["cause"]) for each in explained["named"]}
    assert seen_by_rows == named_by(told, "L4")
    if level == "L4":
        assert {(each["legacy_table"] or "", each["key"].replace("-", "")) for each in explained["named"]} == {
            ("" if kind == "doubled-row" else "t_piece", row) for row in rows
        }
    if kind == list(SEEN)[-1]:
        assert judged(SMALL)["verdict"] == "AWAITING"


def test_a_fault_is_seeded_where_its_closure_is_judged_and_refused_where_no_record_can_carry_it(banyan, judged):
    lost = banyan("break", "lost-row", "38.logbook")
    banyan("break", "repair", "38.reference")  # of the same old system, wherever it is asked
    refused = banyan("break", "wrong-code-map", "38.logbook", code=2)
    unjudged = banyan("break", "rogue-update", "38.custody", code=2)

    assert lost["table"] == "incident"
    assert "no record of 38.logbook can carry wrong-code-map" in refused["message"]
    assert unjudged["hint"] == "banyan validate run 38.custody"
    assert "nothing is broken" in banyan("break", "repair", "38.logbook", code=2)["message"]


def test_nothing_that_is_not_a_demo_is_ever_broken(banyan, folder, monkeypatch):
    described = (folder / "banyan.yaml").read_text(encoding="utf-8")
    with opened(load_project(folder)) as workspace:
        real = workspace.cluster("legacy").url("legacy").render_as_string(hide_password=False)
    monkeypatch.setenv("REAL_BASE", real)
    assert described.count("url: embedded:legacy") == 1
    (folder / "banyan.yaml").write_text(described.replace("embedded:legacy", "env:REAL_BASE"), encoding="utf-8")
    try:
        refusals = {kind: banyan("break", kind, CLOSURE, code=2) for kind in (*FAULTS, "repair")}
    finally:
        (folder / "banyan.yaml").write_text(described, encoding="utf-8")

    assert [kind for kind, said in refusals.items() if "only a demo" not in said["message"]] == []
    assert not (folder / ".banyan" / "break.json").exists()


@pytest.mark.torture
def test_a_code_map_wrong_twice_in_the_same_way_is_named_by_a_golden_record_and_by_l5(banyan):
    banyan("break", "wrong-code-map", CLOSURE)
    told = judge(banyan, code=3)
    banyan("break", "repair", CLOSURE)

    assert told["levels"]["L4"]["different"] == 0
    assert told["levels"]["L4"]["golden_held"] < told["levels"]["L4"]["golden_records"]
    assert {each["table"] for each in told["named"] if each["level"] == "L4"} == {"t_proc"}
    assert told["levels"]["L5"]["state"] == "FAIL"
    assert {each["cause"] for each in told["named"] if each["level"] == "L5"} == {
        "open cases: only the old system knows it", "open cases: only the new system knows it"
    }  # fmt: skip


@pytest.mark.torture
def test_a_fault_is_accepted_by_two_people_only_and_what_follows_is_signed_elsewhere(banyan, folder, tmp_path):
    banyan("break", "truncated-text", CLOSURE)
    refused = judge(banyan, code=3)
    (line,) = [each for each in refused["named"] if each["level"] == "L4" and each["cause"] == "cut"]
    scope = ("--level", "L4", "--rule", f"{line['table']}.{line['column']}", "--cause", "cut")
    asked = (*scope, "--until", "2099-12-31", "--reason", "streets cut in 1994, letter 12")
    (waiver,) = banyan("gate", "waive", CLOSURE, "--as", "steward", *asked, who="claire")
    approve = ("gate", "waive", CLOSURE, "--approve", str(waiver["waiver"]))
    banyan(*approve, "--as", "steward", who="claire", code=2)  # not its author
    banyan(*approve, "--as", "lead", who="paul")

    still = judge(banyan, code=3)  # L6 sees the cut text too, and no waiver accepts bytes that do not come back

    assert still["waivers"] == [waiver["waiver"]]
    assert not [reason for reason in still["reasons"] if reason.startswith("L4")]
    banyan("break", "repair", CLOSURE)
    sound = judge(banyan)
    assert (sound["verdict"], sound["waivers"]) == ("AWAITING", [])

    key = tmp_path / "rose.json"
    (folder / "keys").mkdir(exist_ok=True)
    (folder / "keys" / "rose.pub").write_text(make_key_file(key) + "\n")
    request, stranger = tmp_path / "request.json", tmp_path / "stranger.json"
    banyan("gate", "request", CLOSURE, "--as", "steward", "--for", "rose", "--out", str(request))
    make_key_file(stranger)
    banyan("gate", "sign", str(request), "--key", str(stranger), "--out", str(tmp_path / "forged.json"))
    banyan("gate", "accept", str(tmp_path / "forged.json"), code=3)  # another key than the project knows
    banyan("gate", "sign", str(request), "--key", str(key))
    signed = request.with_suffix(".signed.json")
    forged = json.loads(signed.read_text())
    (tmp_path / "moved.json").write_text(json.dumps(forged | {"sign_off": forged["sign_off"] | {"role": "lead"}}))
    banyan("gate", "accept", str(tmp_path / "moved.json"), code=3)  # signed for another role
    assert banyan("gate", "accept", str(signed))["actor"] == "rose"
    assert banyan("gate", "show", CLOSURE)["missing_signatures"] == ["lead"]
    banyan("gate", "sign", CLOSURE, "--as", "lead", who="paul")
    assert banyan("gate", "show", CLOSURE)["verdict"] == "GO"


def test_only_what_changed_is_judged_again(banyan):
    told = judge(banyan, "--incremental")

    assert told["levels"]["L4"]["complete_pass"] is False
    assert told["levels"]["L3"]["buckets"] < 256 * 2
    assert told["verdict"] == "AWAITING", told["reasons"]


def newest_of(folder):
    """Name the evidence of the closure that no other follows."""
    manifests = [(path.parent.name, json.loads(path.read_text())) for path in folder.glob("evidence/*/manifest.json")]
    chain = {name: each["previous_id"] for name, each in manifests if each["facts"]["closure"] == NAME}
    (newest,) = chain.keys() - chain.values()
    return newest


def test_the_chain_is_verified_without_a_database_and_a_cut_tail_is_found(banyan, folder):
    newest = str(folder / "evidence" / newest_of(folder))
    assert banyan("validate", "verify", newest, "--chain")["sound"] is True

    before = json.loads((folder / "evidence" / newest / "manifest.json").read_text())["previous_id"]
    cut = banyan("validate", "verify", str(folder / "evidence" / before), "--chain", code=3)
    shutil.move(folder / "evidence" / before, folder / "evidence" / "elsewhere")
    gone = banyan("validate", "verify", newest, "--chain", code=3)
    shutil.move(folder / "evidence" / "elsewhere", folder / "evidence" / before)

    assert [problem for problem in cut["problems"] if "the tail was cut" in problem]
    assert [problem for problem in gone["problems"] if before[:8] in problem]


@pytest.mark.torture
def test_a_restored_backup_is_found_because_the_landing_zone_remembers_more(banyan):
    banyan("break", "restored-backup", CLOSURE)
    told = judge(banyan, code=3)
    banyan("break", "repair", CLOSURE)

    assert told["levels"]["L3"]["state"] == "FAIL"
    assert {each["cause"].partition(":")[0] for each in told["named"] if each["level"] == "L3"} == {
        "the store has forgotten evidence that is anchored in the landing zone"
    }
    assert judge(banyan)["verdict"] == "AWAITING"


@pytest.mark.torture
def test_the_full_profile_is_no_go_until_a_sample_is_read_and_go_once_it_is_and_two_people_signed(banyan):
    silent = judge(banyan, "--profile", "full", code=3)
    drawn = banyan("validate", "sample", CLOSURE, "--seed", "7")
    path = drawn["list"]
    with open(path, encoding="utf-8") as file:
        header, *lines = file.read().splitlines()
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join([header, *(f"{line.rsplit(',', 2)[0]},same," for line in lines)]) + "\n")
    told = judge(banyan, "--profile", "full")
    banyan("gate", "sign", CLOSURE, "--as", "steward", who="claire")
    banyan("gate", "sign", CLOSURE, "--as", "lead", who="paul")

    assert silent["reasons"] == ["L5, sample compared to the paper: asked and was not run."]
    assert len(lines) == drawn["drawn"] == told["levels"]["L5"]["sample_read"] > 20
    assert told["levels"]["L5"]["parts"] == "open_work+replay+sample+statistics+totals"
    assert told["levels"]["L5"]["sample_bound_per_million"] <= 10_000
    assert told["levels"]["L5"]["replay_questions"] == 8
    assert told["levels"]["L5"]["replay_different"] == 0
    assert told["not_asked"] == []
    assert banyan("gate", "show", CLOSURE)["verdict"] == "GO"


@pytest.mark.torture
def test_the_closures_without_cases_are_asked_no_paper_and_their_folds_are_one_anothers(banyan):
    custody = banyan("validate", "run", "38.custody", "--profile", "full")
    logbook = banyan("validate", "run", "38.logbook", "--profile", "full")
    again = judge(banyan, "--incremental")

    assert (custody["verdict"], logbook["verdict"]) == ("AWAITING", "AWAITING")
    assert custody["levels"]["L5"]["parts"] == "open_work+replay+sample+statistics+totals"
    assert custody["levels"]["L5"]["open_work_live_seals_canonical"] > 0
    assert again["levels"]["L3"]["first_fold"] is False
    assert again["verdict"] == "AWAITING", again["reasons"]
