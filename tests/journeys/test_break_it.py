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
from cli.estate_projects import create_estate_project
from cli.main import run
from validation.sign_off import make_key_file
from wire.cleanup import destroy_clusters

pytestmark = [pytest.mark.server, pytest.mark.journey]
CLOSURE = "38.cases"
NAME = "38.cases+vehicles"


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
    assert told["levels"]["L5"]["parts"] == "open_work+statistics"
    assert told["not_asked"] == ["L5, sample compared to the paper", "L5, query replay"]


def test_a_record_changed_behind_our_back_is_no_go_by_name_until_it_is_put_right(banyan):
    broken = banyan("break", "rogue-update", CLOSURE)
    told = judge(banyan, code=3)

    assert told["verdict"] == "NO-GO"
    foreign = [each for each in told["named"] if each["level"] == "L3"]
    assert [(each["table"], each["key"]) for each in foreign] == [
        ("person_identity", broken["records"][0].replace("-", ""))
    ]

    banyan("break", "rogue-update", CLOSURE, code=2)  # one fault at a time
    assert banyan("break", "repair", CLOSURE)["repaired"] == "rogue-update"
    assert judge(banyan)["verdict"] == "AWAITING"


@pytest.mark.torture
def test_a_code_map_wrong_twice_in_the_same_way_is_named_by_l5_alone(banyan):
    banyan("break", "wrong-code-map", CLOSURE)
    told = judge(banyan, code=3)
    banyan("break", "repair", CLOSURE)

    assert told["levels"]["L4"]["state"] == "PASS"
    assert told["levels"]["L5"]["state"] == "FAIL"
    assert {each["cause"] for each in told["named"] if each["level"] == "L5"} <= {
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


def test_the_chain_is_verified_without_a_database_and_a_cut_tail_is_found(banyan, folder):
    newest = str(folder / "evidence" / banyan("gate", "show", CLOSURE)["evidence_id"])
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
    drawn = banyan("validate", "sample", CLOSURE, "--size", "20", "--seed", "7")
    path = drawn["list"]
    with open(path, encoding="utf-8") as file:
        header, *lines = file.read().splitlines()
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join([header, *(f"{line.rsplit(',', 2)[0]},same," for line in lines)]) + "\n")
    told = judge(banyan, "--profile", "full")
    banyan("gate", "sign", CLOSURE, "--as", "steward", who="claire")
    banyan("gate", "sign", CLOSURE, "--as", "lead", who="paul")

    assert silent["reasons"] == ["L5, sample compared to the paper: asked and was not run."]
    assert len(lines) == drawn["drawn"] == 20
    assert told["levels"]["L5"]["parts"] == "open_work+replay+sample+statistics"
    assert told["levels"]["L5"]["sample_read"] == 20
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
    assert custody["levels"]["L5"]["parts"] == "open_work+replay+sample+statistics"
    assert custody["levels"]["L5"]["open_work_live_seals_canonical"] > 0
    assert again["levels"]["L3"]["first_fold"] is False
    assert again["verdict"] == "AWAITING", again["reasons"]
