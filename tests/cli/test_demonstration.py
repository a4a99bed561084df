"""Which departments `banyan demo` tells, and what it says of one that it cannot."""

import pytest

from banyan.errors import UsageError
from cli.demonstration import _departments
from cli.main import run


@pytest.mark.mariadb
def test_all_departments_are_told_in_the_order_of_the_story():
    assert _departments("") == (("38", "48", "974"), {})
    assert _departments("48, 38") == (("38", "48"), {})
    assert _departments("974") == (("974",), {})


def test_without_mariadb_two_are_told_and_the_third_says_what_to_install(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("wire.mariadb._FOLDERS", ())  # a machine on which nothing of MariaDB is installed

    told, untold = _departments("")

    assert told == ("38", "48")
    assert untold == {"974": "no MariaDB on this machine: apt install mariadb-server"}
    assert _departments("38,48") == (("38", "48"), {})
    with pytest.raises(UsageError, match="974 cannot be told: no MariaDB on this machine"):
        _departments("974")


def test_an_unknown_department_is_refused_and_nothing_is_made(tmp_path, capfd):
    assert run(["demo", "--only", "38,75", "--dir", str(tmp_path / "demo")]) == 2

    assert "the demo has no department 75; it has 38, 48, 974; nothing was made" in capfd.readouterr().err
    assert not (tmp_path / "demo").exists()
