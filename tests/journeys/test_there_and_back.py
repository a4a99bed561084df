"""`banyan demo`, as a person runs it: there, back, and there again; what it prints, sums up, reports and leaves."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from banyan.config import load_project
from banyan.departments import SourceRef
from estate.schema import legacy_tables
from store.postgres import transaction
from sync.workspace import Workspace, opened
from wire.cleanup import destroy_clusters

pytestmark = [pytest.mark.journey, pytest.mark.server, pytest.mark.airflow]

ORION = SourceRef("38", "ORION")
BUREAU = SourceRef("48", "BUREAU")
CHAPTERS = ["read", "conserved", "compared", "signed", "switched", "worked", "went back", "went again"]
FATES = ("loaded", "unchanged", "deleted", "filtered", "quarantined", "in_flight")
TABLES = set(legacy_tables())
LINKS = ("src", "href", "xlink:href", "srcset", "action", "data", "poster", "formaction")
OBJECT_IN_USE = "55006"
"""What the fence of the old system answers to a writer who comes too late."""


@dataclass(frozen=True)
class Demo:
    """One run of the demo and what it left behind."""

    folder: Path
    asked: str
    exit_code: int
    stdout: str
    stderr: str

    @property
    def summary(self) -> dict[str, Any]:
        return json.loads((self.folder / "summary.json").read_text(encoding="utf-8"))

    @property
    def sections(self) -> dict[str, str]:
        """Give what is printed of each department, by the code in its first line."""
        parts = re.split(r"^(?=[A-ZÀ-Ü ]+ \d+ · )", self.stdout, flags=re.M)[1:]
        return {re.findall(r"\d+", part)[0]: part for part in parts}

    def chapters(self, code: str = "38") -> dict[str, str]:
        """Give the numbered lines of a department: what follows each heading."""
        found = re.findall(
            r"^ ?\d+ ([a-z]+(?: [a-z]+)?)\s\s+(.*)$|^ ?\d+ (went (?:back|again)) (.*)$", self.sections[code], re.M
        )
        return {first or second: text or other for first, text, second, other in found}


@pytest.fixture(scope="module", params=["38,48", pytest.param("", marks=[pytest.mark.torture, pytest.mark.mariadb])])
def demo(request, tmp_path_factory) -> Iterator[Demo]:
    """Tell the demo: every day without the department that runs on MariaDB, and all of it."""
    folder = tmp_path_factory.mktemp("demo") / "isere"
    mine = {name: value for name, value in os.environ.items() if not name.startswith(("BANYAN_", "AIRFLOW_"))}
    command = [str(Path(sys.executable).with_name("banyan")), "demo", "--size", "XS", "--dir", str(folder)]
    command += ["--only", request.param] if request.param else []
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=900, check=False, env=mine, cwd=folder.parent
        )
        yield Demo(folder, request.param, done.returncode, done.stdout, done.stderr)
    finally:
        destroy_clusters(folder)


@pytest.fixture(scope="module")
def summary(demo) -> dict[str, Any]:
    assert demo.exit_code == 0, demo.stderr
    return demo.summary


@pytest.fixture(scope="module")
def told(demo) -> list[str]:
    """The departments that were to be told."""
    return demo.asked.split(",") if demo.asked else ["38", "48", "974"]


@pytest.fixture(scope="module")
def left_behind(demo, summary) -> Iterator[Workspace]:
    """The demo's project, opened after the story; its servers still run."""
    with opened(load_project(demo.folder)) as workspace:
        yield workspace


def numbers(text: str) -> list[int]:
    """Give the counts of a line, written with spaces between thousands."""
    return [int(found.replace(" ", "")) for found in re.findall(r"\d{1,3}(?: \d{3})+|\d+", text)]


def ask(workspace: Workspace, query: str) -> list[tuple[Any, ...]]:
    with transaction(workspace.engine("banyan_judge")) as connection:
        return [tuple(row) for row in connection.execute(sa.text(query))]


# -- what it prints ------------------------------------------------------------------------------------------------


def test_the_story_of_each_department_is_told_in_at_most_ten_numbered_lines_in_order(demo, told):
    assert demo.exit_code == 0, demo.stderr
    assert list(demo.sections) == told
    for section in demo.sections.values():
        numbered = re.findall(r"^ ?(\d+) ([a-z]+(?: (?:back|again))?) ", section, re.M)
        assert len(numbered) <= 10
        assert numbered == [(str(number), chapter) for number, chapter in enumerate(CHAPTERS, 1)]
    assert "Traceback" not in demo.stderr


def test_it_says_that_the_estate_is_synthetic_what_it_did_not_do_and_where_the_report_is(demo):
    lines = demo.stdout.splitlines()

    assert "synthetic data, seed 1" in lines[0]
    assert any(line.startswith("NOT DONE BY THIS DEMO: ") and "mainframe" in line for line in lines)
    assert str(demo.folder / "report.fr.html") in lines[-1]


def test_the_lines_and_the_summary_give_the_same_figures(demo, summary, told):
    for code in told:
        _compare_lines(demo.chapters(code), summary if code == "38" else summary["departments"][code])


def _compare_lines(chapters: dict[str, str], summary: dict[str, Any]) -> None:
    total = {name: sum(counts[name] for counts in summary["rows"].values()) for name in ("read", *FATES)}

    assert list(chapters) == CHAPTERS
    assert numbers(chapters["read"])[:2] == [total["read"], len(summary["rows"])]
    assert numbers(chapters["conserved"]) == [total[name] for name in ("read", *FATES)]
    assert numbers(chapters["worked"]) == [summary["edits_after_switch"], summary["switch"]["legacy_writes_refused"]]
    assert numbers(chapters["went again"]) == [summary["second_switch"]["duplicates"]]
    assert f"{summary['switch']['outage_ms'] / 1000:.2f} s" in chapters["switched"]
    assert summary["degraded_write_backs"] in numbers(chapters["went back"])


# -- what it sums up -----------------------------------------------------------------------------------------------


# -- of the other departments --------------------------------------------------------------------------------------


def test_the_other_departments_went_the_whole_way_too(summary, told):
    assert list(summary["departments"]) == told[1:]
    assert summary["not_told"] == {}
    for code in told[1:]:
        other = summary["departments"][code]
        assert other["closure"].startswith(f"{code}.")
        assert other["conservation_balanced"] is True
        assert set(other["levels"].values()) == {"PASS"}, code
        assert other["live_legacy_changes"] > 0 and other["switch"]["legacy_writes_refused"] > 0, code
        assert 0 < other["switch"]["outage_ms"] < 20_000
        edits = other["edits"]
        assert other["edits_after_switch"] == edits["updates"] + edits["inserts"] + edits["deletes"] >= 200
        assert min(edits["updates"], edits["inserts"], edits["deletes"], edits["not_expressible"]) > 0
        assert other["reverse_sync"]["applied"] > 0
        assert (other["rollback"]["lost"], other["rollback"]["untouched_rows_byte_identical"]) == (0, True)
        assert other["rollback"]["untouched_rows"] > 0
        assert other["second_switch"]["duplicates"] == 0
        assert Path(other["report"]).is_file() and f"/reports/{code}/" in other["report"]


def test_the_files_of_two_brigades_stand_side_by_side_and_their_keys_do_not_mix(demo, summary, left_behind):
    tables = list(summary["departments"]["48"]["rows"])
    files = sorted({table.partition("/")[0] for table in tables})
    keys = ask(
        left_behind,
        "select t.table_name, array_agg(c.source_key) from mig.crosswalk c join mig.source_table t using"
        " (source_table_no) where t.department_code = '48' and t.table_name like '%/AFFAIRES' and c.deleted_at is null"
        " group by 1 order by 1",
    )

    assert len(files) == 2
    assert [table for table, _ in keys] == [f"{file}/AFFAIRES" for file in files]
    assert len(set(keys[0][1]) & set(keys[1][1])) >= 5  # the same keys, of other cases
    places = [Path(left_behind.legacy_urls(BUREAU).reader) / f"{file}.db" for file in files]
    assert all(place.is_dir() for place in places)  # shut: a folder stands in the place of each file


def test_each_row_read_has_one_fate_in_every_table(summary):
    assert set(summary["rows"]) == TABLES
    for table, counts in summary["rows"].items():
        assert set(counts) == {"read", *FATES}, table
        assert counts["read"] == sum(counts[fate] for fate in FATES), table
        assert counts["read"] > 0 and min(counts.values()) >= 0, table
    assert summary["conservation_balanced"] is True


def test_each_part_emitted_was_inserted_updated_unchanged_or_merged(summary):
    parts = summary["parts"]

    assert parts["emitted"] == parts["inserted"] + parts["updated"] + parts["unchanged"] + parts["merged"]
    assert parts["emitted"] > parts["split"] > 0
    assert parts["inserted"] > 0


def test_the_round_trip_is_proved_on_rows_with_and_without_residue(summary):
    trip = summary["round_trip"]
    carried, of_all = numbers(trip["put_get"])

    assert 0 < trip["exact_without_residue"] <= trip["rows"]
    assert 0 <= trip["residue_only_fields"] < trip["fields"]
    assert carried == of_all > 0
    assert trip["fields_touched_ok"] is True


def test_every_level_that_the_switch_asks_for_passes(summary):
    assert {name: summary["levels"][name] for name in ("L0", "L1", "L2", "L4", "L6")} == dict.fromkeys(
        ("L0", "L1", "L2", "L4", "L6"), "PASS"
    )
    assert summary["levels"]["L3"] == "PASS"


def test_airflow_carried_changes_once(summary):
    assert summary["airflow"]["sync_state"] == "success"


def test_the_switch_was_short_and_late_writers_were_refused(summary):
    assert 0 < summary["switch"]["outage_ms"] < 10_000
    assert summary["switch"]["legacy_writes_refused"] > 0


def test_the_new_application_made_edits_of_every_kind(summary):
    edits, total = summary["edits"], summary["edits_after_switch"]

    assert total == edits["updates"] + edits["inserts"] + edits["deletes"] >= 1000
    assert edits["updates"] >= 0.60 * total
    assert edits["inserts"] >= 0.20 * total
    assert edits["deletes"] >= 0.05 * total
    assert edits["not_expressible"] >= 5
    assert len(edits["columns"]) == len(set(edits["columns"])) > 40


def test_the_way_back_lost_nothing_and_left_untouched_rows_as_they_were(summary):
    back = summary["rollback"]

    assert summary["reverse_sync"]["applied"] > 0
    assert summary["degraded_write_backs"] >= 5
    assert (back["lost"], back["untouched_rows_byte_identical"]) == (0, True)
    assert back["untouched_rows"] > 0
    assert 0 < back["outage_ms"] < 10_000


def test_the_second_way_there_doubled_nothing(summary):
    assert summary["second_switch"]["duplicates"] == 0
    assert 0 < summary["second_switch"]["outage_ms"] < 10_000


# -- what it reports -----------------------------------------------------------------------------------------------


class Links(HTMLParser):
    """Gathers what a page would fetch or lead to, its language, and its style sheets."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.language: str | None = None
        self.tags: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.targets += [value or "" for name, value in attrs if name in LINKS]
        if tag == "html":
            self.language = dict(attrs)["lang"]


@pytest.mark.parametrize(("language", "other"), [("fr", "en"), ("en", "fr")])
def test_the_report_stands_alone_in_both_languages_and_fetches_nothing(demo, summary, language, other):
    page = (demo.folder / f"report.{language}.html").read_text(encoding="utf-8")
    links = Links(page)

    assert summary["report"] == str(demo.folder / "report.fr.html")
    assert links.language == language
    assert {target for target in links.targets if not target.startswith("#")} == {f"report.{other}.html"}
    assert not links.tags & {"script", "iframe", "link", "img", "object", "embed"}
    assert not re.search(r"""(?:src|href)\s*=\s*["']?\s*(?:https?:)?//""", page)
    assert not re.search(r"url\(|@import", page)


def test_the_evidence_of_the_signed_state_is_beside_the_report(demo, summary):
    bundles = [path.name for path in (demo.folder / "evidence").iterdir() if path.is_dir()]

    assert summary["evidence_id"] in bundles
    assert re.fullmatch(r"[0-9a-f]{64}", summary["evidence_id"])
    assert {summary["evidence_id"]} | {other["evidence_id"] for other in summary["departments"].values()} <= set(
        bundles
    )
    assert len(bundles) == 2 * (1 + len(summary["departments"]))


# -- what it leaves, asked without the demo's own counting ---------------------------------------------------------


def test_the_new_side_owns_the_closure_at_the_end_and_the_old_system_refuses_a_write(left_behind):
    slices = ask(left_behind, "select distinct owner, phase from mig.slice where closure = '38.cases+vehicles'")
    officers = make_url(left_behind.legacy_urls(ORION).application).set(drivername="postgresql")

    with (
        psycopg.connect(officers.render_as_string(hide_password=False)) as connection,
        pytest.raises(psycopg.Error) as refused,
    ):
        connection.execute(
            "update orion.t_proc set statut = statut where id_proc = (select min(id_proc) from orion.t_proc)"
        )

    assert slices == [("CANONICAL", "LIVE")]
    assert refused.value.sqlstate == OBJECT_IN_USE


def test_no_legacy_key_and_no_record_is_claimed_twice(left_behind):
    keys = ask(
        left_behind,
        "select count(*) from (select 1 from mig.crosswalk where deleted_at is null"
        " group by department_code, source_table_no, source_key having count(*) > 1) doubled",
    )
    living = ask(left_behind, "select count(*) from mig.crosswalk where deleted_at is null")

    assert keys == [(0,)]
    assert living[0][0] > 1000


def test_what_could_not_be_written_back_is_listed_row_by_row(left_behind, summary):
    listed = ask(left_behind, "select department_code, count(*) from mig.degraded_write_back group by 1 order by 1")

    assert dict(listed) == {"38": summary["degraded_write_backs"]} | {
        code: other["degraded_write_backs"] for code, other in summary["departments"].items()
    }


def test_each_of_the_two_switches_was_signed_by_a_steward_and_a_lead(left_behind, summary):
    signed = ask(left_behind, "select evidence_id, array_agg(role order by role) from mig.sign_off group by 1")

    assert [roles for _, roles in signed] == [["lead", "steward"]] * 2 * (1 + len(summary["departments"]))
    assert summary["evidence_id"] in [evidence for evidence, _ in signed]
