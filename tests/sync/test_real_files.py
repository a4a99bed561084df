"""Write-once files through the whole path, on small files of our own."""

import zipfile
from pathlib import Path

import pytest
from file_projects import FileProject, in_file_order, register

from banyan.config import load_project
from banyan.departments import SourceRef
from banyan.errors import ConfigurationError, SourceDrifted, SourceUnavailable
from banyan.records import RowCounts
from sync.engine import SyncEngine
from sync.lane import STEPS, Step
from sync.real_files import apply_after_load, load_files, open_files

pytestmark = pytest.mark.server

LINES = ["unit;year;facts", "ARLES;2012;3", "AIX;2012;", "ARLES;2013;0", "ARLES;2014;2", "AIX;2013;x"]
PROJECT = """\
project: small
departments:
  FR:
    name: France
    time_zone: Europe/Paris
    sources:
      REGISTER: {{medium: csv, url: "{url}", encoding: cp1252, rules: rules, write_once: {write_once}}}
    domains: [reference]
"""
RULES = """\
rule: FACTS@1
source: {system: REGISTER, table: facts, key: [$recno], write_once: true}
columns: [$recno, unit, year, facts]
emit:
  - part: count
    table: recorded_fact_count
    domain: reference
    main: true
    fields:
      unit_id: {part: unit}
      year: {from: year, lens: number.integer}
      recorded_count: {from: facts, lens: number.integer}
  - part: unit
    table: enforcement_unit
    domain: reference
    share: [unit]
    fields:
      name: {from: unit}
"""
VALIDITY = Path(__file__).parent.parent.parent / "examples" / "etat4001" / "after_load.sql"


def write_project(folder: Path, url: str, *, write_once: str = "true") -> Path:
    folder.joinpath("rules").mkdir(parents=True)
    folder.joinpath("banyan.yaml").write_text(PROJECT.format(url=url, write_once=write_once))
    folder.joinpath("rules", "facts.yaml").write_text(RULES)
    return folder


def write_facts(path: Path, lines: list[str]) -> Path:
    path.write_bytes("".join(f"{line}\r\n" for line in lines).encode("cp1252"))
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_facts(tmp_path / "facts.csv", LINES)


@pytest.fixture
def small(tmp_path: Path, file: Path, make_database) -> FileProject:
    return register(write_project(tmp_path / "project", f"{file}?separator=;"), make_database)


def open_url(folder: Path, url: str, **said: str):
    project = load_project(write_project(folder, url, **said))
    return open_files(project, SourceRef("FR", "REGISTER"), ("facts",))


def test_a_shared_record_is_one_across_chunks_and_every_emitted_part_is_placed(small):
    result = small.load(rows_per_chunk=2)

    parts = result.total.parts
    assert result.total.rows == RowCounts(read=5, loaded=5)
    assert (parts.emitted, parts.inserted, parts.updated, parts.unchanged, parts.merged) == (10, 7, 0, 2, 1)
    assert result.total.is_balanced
    assert result.total.rejected_fields == 1
    counts = small.place.run(
        "select name, year, recorded_count from justice.recorded_fact_count c"
        " join justice.enforcement_unit u on u.id = c.unit_id order by 1, 2"
    )
    assert counts == [
        ("AIX", 2012, None),
        ("AIX", 2013, None),
        ("ARLES", 2012, 3),
        ("ARLES", 2013, 0),
        ("ARLES", 2014, 2),
    ]


def test_the_step_after_the_load_says_from_when_to_when_and_changes_nothing_again(small):
    small.load()
    engine = small.place.engine("banyan_forward")

    changed = [apply_after_load(engine, VALIDITY, "FR") for _ in range(2)]
    again = small.load(rows_per_chunk=2)

    assert changed == [2, 0]
    assert (again.total.parts.inserted, again.total.parts.updated) == (0, 0)
    assert again.total.rows == RowCounts(read=5, unchanged=5)
    assert apply_after_load(engine, VALIDITY, "FR") == 0
    units = small.place.run(
        "select name, valid_from::text, valid_to::text, row_version from justice.enforcement_unit order by 1"
    )
    assert units == [("AIX", "2012-01-01", "2013-12-31", 2), ("ARLES", "2012-01-01", "2014-12-31", 2)]


def test_every_row_comes_back_with_the_text_it_had(small):
    small.load()

    rows = in_file_order(small.write_back().rows).drop("$recno")

    assert [";".join(row) for row in rows.rows()] == LINES[1:]


def test_another_file_under_the_same_name_is_refused_and_nothing_is_written(small, file):
    small.load()
    write_facts(file, [*LINES, "NIMES;2012;1"])

    with pytest.raises(SourceDrifted, match="not the ones that were read before"):
        small.load()

    assert small.figure("select count(*) from mig.run") == 1
    assert small.figure("select count(*) from justice.recorded_fact_count") == 5


def test_a_load_that_died_at_every_step_ends_with_every_row_once(small, file):
    for step in STEPS:

        def die(reached, wanted=step):
            if reached is wanted:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            load_files(SyncEngine(small.place.engine("banyan_forward"), checkpoint=die), small.lane(), rows_per_chunk=1)

    result = small.load(rows_per_chunk=1)

    assert result.total.rows == RowCounts(read=5, loaded=5)
    assert (result.total.parts.emitted, result.total.parts.inserted, result.total.parts.unchanged) == (10, 7, 3)
    assert result.total.is_balanced


def test_a_load_left_open_is_not_taken_up_with_another_file(small, file):
    def die(reached):
        if reached is Step.COMMITTED:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_files(SyncEngine(small.place.engine("banyan_forward"), checkpoint=die), small.lane(), rows_per_chunk=1)
    write_facts(file, [LINES[0], *reversed(LINES[1:])])

    with pytest.raises(SourceDrifted, match="not the ones that were read before"):
        small.load()

    assert small.figure("select count(*) from justice.recorded_fact_count") == 1


def test_a_file_with_another_column_is_refused_before_anything_is_written(small, file):
    write_facts(file, ["unit;year;facts;note", "ARLES;2012;3;-"])

    with pytest.raises(SourceDrifted, match="facts does not have the columns that FACTS@1 describes") as refused:
        small.load()

    assert refused.value.facts["unknown"] == ["note"]
    assert small.figure("select count(*) from mig.run") == 0


def test_a_zip_is_unpacked_once_beside_the_state_of_the_project(tmp_path, file):
    packed = tmp_path / "packed.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(file, "deep/../facts.csv")
        archive.writestr("facts.prj", "something else")
    folder = tmp_path / "project"

    port = open_url(folder, f"{packed}?separator=;")
    again = open_files(load_project(folder), SourceRef("FR", "REGISTER"), ("facts",))

    assert port.count("facts") == 5
    assert again.head() == port.head()
    [unpacked] = (folder / ".banyan" / "files").iterdir()
    assert [found.name for found in unpacked.iterdir()] == ["facts.csv"]


@pytest.mark.parametrize(
    ("query", "write_once", "problem"),
    [
        ("", "true", r"must say \['separator'\] after its path, and says \[\]"),
        ("?sheet=S", "true", r"and says \['sheet'\]"),
        ("?separator=;", "false", "not declared as files that are written once"),
    ],
)
def test_what_is_not_declared_is_not_guessed(tmp_path, file, query, write_once, problem):
    with pytest.raises(ConfigurationError, match=problem):
        open_url(tmp_path / "project", f"{file}{query}", write_once=write_once)


def test_a_file_that_is_not_there_is_named(tmp_path, file):
    with pytest.raises(SourceUnavailable, match=r"there is no other\.csv"):
        open_url(tmp_path / "one", f"{tmp_path / 'other.csv'}?separator=;")
    other = write_facts(tmp_path / "other.csv", LINES)
    with pytest.raises(SourceUnavailable, match=r"FR\.REGISTER has no file for facts"):
        open_url(tmp_path / "two", f"{other}?separator=;")
