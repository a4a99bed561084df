"""The command `banyan estate`, as people and machines call it."""

import json
from pathlib import Path

import polars as pl
import pytest
from sqlalchemy.engine import make_url
from typer.testing import CliRunner

from banyan.errors import UsageError
from cli.estates import estate_app
from estate.catalogue import Defect
from estate.orion import generate


def call(*arguments: str) -> str:
    result = CliRunner().invoke(estate_app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_folder_receives_one_file_a_table_and_the_ledger(tmp_path: Path) -> None:
    told = json.loads(call("generate", "--out", str(tmp_path / "orion"), "--json"))

    written = pl.read_csv(tmp_path / "orion" / "t_personne.csv", infer_schema=False)
    assert written.equals(generate("XS", 1).tables["t_personne"], null_equal=True)
    assert told["tables"]["t_personne"] == written.height
    assert told["digest"] == generate("XS", 1).digest()
    assert pl.read_csv(tmp_path / "orion" / "defects.csv").height == told["defects"]


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")

    with pytest.raises(UsageError, match="not empty"):
        call("generate", "--out", str(tmp_path))

    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_target_is_asked_for() -> None:
    with pytest.raises(UsageError, match="either a database or --out"):
        call("generate")


def test_defects_are_counted_by_kind() -> None:
    rows = json.loads(call("defects", "--size", "XS", "--seed", "1", "--json"))

    assert {row["kind"] for row in rows} == {defect.kind for defect in Defect}
    assert sum(row["rows"] for row in rows) == generate("XS", 1).defects.height
    table = call("defects")
    assert "past_retention" in table
    assert max(map(len, table.splitlines())) <= 100


@pytest.mark.server
def test_a_database_is_filled_and_officers_work_in_it(make_database) -> None:
    url = make_database()
    officers = make_url(url).set(username="orion_app").render_as_string(hide_password=False)

    call("generate", url, "--seed", "2")
    done = json.loads(call("live", officers, "--rate", "1000", "--count", "15", "--json"))

    assert done["committed"] == 15
    assert done["refused"] == 0


@pytest.mark.parametrize(
    ("department", "kind"), [("974", "key_reused"), ("48", "key_collision"), ("67", "german_plate")]
)
def test_every_department_tells_its_own_defects(department: str, kind: str) -> None:
    rows = json.loads(call("defects", "-d", department, "--json"))

    assert {row["kind"]: row["rows"] > 0 for row in rows}[kind]


def test_a_folder_receives_the_file_of_each_brigade(tmp_path: Path) -> None:
    told = json.loads(call("generate", "-d", "48", "--out", str(tmp_path / "brigades"), "--json"))

    files = sorted(path.stem for path in (tmp_path / "brigades").glob("*.db"))
    assert files == sorted({name.split("/")[0] for name in told["tables"]})
    assert told["rows"] == sum(told["tables"].values())


def test_people_work_in_the_files_of_brigades_and_are_refused_by_one_that_was_moved_aside(tmp_path: Path) -> None:
    folder = tmp_path / "brigades"
    call("generate", "-d", "48", "--size", "S", "--out", str(folder))
    before = {path.name: path.read_bytes() for path in folder.glob("*.db")}

    done = json.loads(call("live", str(folder), "-d", "48", "--rate", "1000", "--count", "60", "--json"))

    assert (done["committed"], done["refused"], done["aborted"]) == (60, 0, 0)
    assert min(done["insert"], done["update"], done["hard_delete"]) > 0
    changed = [name for name, content in before.items() if (folder / name).read_bytes() != content]
    assert len(changed) >= 5
    (folder / "480001.db").rename(folder / "aside")
    (folder / "480001.db").mkdir()
    done = json.loads(call("live", str(folder / "480001.db"), "-d", "48", "--count", "1", "--json"))
    assert (done["committed"], done["refused"]) == (0, 1)


def test_what_a_flavour_cannot_do_is_refused_with_the_way_to_do_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a set of files"):
        call("generate", "sqlite:///x.db", "-d", "48")
    with pytest.raises(UsageError, match="is no file of a brigade, nor a folder with some; nothing was done"):
        call("live", str(tmp_path), "-d", "48", "--count", "1")
    with pytest.raises(UsageError, match="has no system in the synthetic estate"):
        call("generate", "-d", "2A", "--out", str(tmp_path / "none"))
