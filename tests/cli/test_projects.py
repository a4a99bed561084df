import json
import stat
from pathlib import Path

import pytest

from banyan.config import load_project
from banyan.departments import SourceRef
from cli.estate_projects import create_estate_project
from cli.main import run
from sync.workspace import LEGACY_DATABASE, opened
from wire.cleanup import destroy_clusters


def test_an_empty_project_can_be_read_and_has_no_department(tmp_path, capfd):
    folder = tmp_path / "isere"

    assert run(["init", str(folder), "--json"]) == 0

    project = load_project(folder)
    assert project.name == "isere"
    assert project.departments == {}
    assert (folder / "rules").is_dir()
    assert json.loads(capfd.readouterr().out)["next"] == f"banyan -C {folder} doctor"


def test_a_project_is_never_replaced(tmp_path, capfd):
    run(["init", str(tmp_path)])
    (tmp_path / "banyan.yaml").write_text("project: mine\n")

    assert run(["init", str(tmp_path), "--template", "estate"]) == 2

    assert (tmp_path / "banyan.yaml").read_text() == "project: mine\n"
    assert "is a project already; nothing was written" in capfd.readouterr().err


def test_an_unknown_template_or_size_writes_nothing(tmp_path, capfd):
    assert run(["init", str(tmp_path / "a"), "--template", "full"]) == 2
    assert run(["init", str(tmp_path / "b"), "--template", "estate", "--size", "XXL"]) == 2

    assert list(tmp_path.iterdir()) == []
    assert "there are empty and estate; nothing was written" in capfd.readouterr().err


@pytest.mark.server
def test_an_estate_project_is_loaded_by_the_ordinary_command_through_passwords(tmp_path, capfd):
    folder = tmp_path / "estate"
    try:
        project = create_estate_project(folder, "XS", 7)

        with opened(project) as workspace:
            urls = workspace.legacy_urls(SourceRef("38", "ORION"))
            assert len({urls.reader, urls.reverse, urls.guard, urls.admin, urls.application}) == 5
            assert all(
                f"/{LEGACY_DATABASE}" in url and ":" in url.partition("@")[0] for url in (urls.reader, urls.guard)
            )
        secrets = _secrets_of(folder)
        assert {stat.S_IMODE(path.stat().st_mode) for path in secrets} == {0o600}
        assert run(["-C", str(folder), "load", "38", "--json"]) == 0
        (told,) = json.loads(capfd.readouterr().out)["runs"]
        assert told["is_balanced"]
        assert told["total"]["rows"]["read"] > 1000
        assert run(["-C", str(folder), "doctor"]) == 0

        next(path for path in secrets if path.name == "banyan_reader").write_text("wrong")
        capfd.readouterr()
        assert run(["-C", str(folder), "source", "scan", "38"]) == 2
        said = capfd.readouterr().err
        assert "refuses this account, its password or its database; nothing was read" in said
        assert "next check the reference of the secret in banyan.yaml" in said
    finally:
        destroy_clusters(folder)


@pytest.mark.server
def test_a_project_of_brigade_files_is_loaded_file_by_file_by_the_ordinary_commands(tmp_path, capfd):
    folder = tmp_path / "lozere"
    try:
        assert run(["init", str(folder), "--template", "estate", "--department", "48", "--size", "S"]) == 0
        source = load_project(folder).departments["48"].sources["BUREAU"]
        assert (source.fence, len(source.files)) == ("closed_window", 2)
        capfd.readouterr()

        assert run(["-C", str(folder), "load", "48", "--json"]) == 0
        (told,) = json.loads(capfd.readouterr().out)["runs"]
        names = source.file_names
        assert told["is_balanced"]
        assert set(told["tables"]) == {f"{name}/{table}" for name in names for table in ("AFFAIRES", "SCELLES")}
        assert run(["-C", str(folder), "doctor"]) == 0
        assert "both ways, 4 tables of 2 files; fence: closed_window" in capfd.readouterr().out
        assert run(["-C", str(folder), "source", "grants", "48", "--level", "R4"]) == 0
        printed = capfd.readouterr().out
        assert [f"-- in {name}.db" in printed for name in names] == [True, True]
    finally:
        destroy_clusters(folder)


def _secrets_of(folder):
    """List the password files; as root the servers live where their account can reach them, and a file says where."""
    servers = folder / ".banyan" / "clusters"
    return list((Path(servers.read_text().strip()) if servers.is_file() else servers).rglob("secrets/*"))
