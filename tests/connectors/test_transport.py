"""How a legacy system may be reached: secrets by reference, TLS proved far away, exceptions with owner and end."""

from datetime import date, timedelta

import pytest
import yaml

from banyan.clock import today
from banyan.config import PROJECT_FILE, SourceConfig, load_project
from banyan.departments import SourceRef
from banyan.errors import ConfigurationError
from connectors.transport import odbc_words, refuse_exposed
from sync.workspace import Workspace

FAR = {
    "postgresql": ("postgresql://r@legacy.example/orion?sslmode=require", "postgresql://r@legacy.example/orion"),
    "mariadb": ("mariadb://r@legacy.example/marel?ssl=disabled", "mariadb://r@legacy.example/marel"),
    "odbc": ("DRIVER=X;SERVER=legacy.example;SSLMODE=require", "DRIVER=X;SERVER=legacy.example;SSLMODE=verify-full"),
}
PROVED_BY_ODBC = (
    "DRIVER=MariaDB Unicode;SERVER=legacy.example;FORCETLS=1;SSLVERIFY=1",
    "DRIVER={ODBC Driver 18 for SQL Server};SERVER=tcp:legacy.example,1433;Encrypt=yes",
    "DRIVER={IBM DB2 ODBC DRIVER};HOSTNAME=legacy.example;Security=SSL",
    "DRIVER={Oracle};DBQ=tcps://legacy.example:2484/ORCL",
)
NOT_PROVED_BY_ODBC = (
    "DRIVER={ODBC Driver 18 for SQL Server};SERVER=legacy.example;Encrypt=yes;TrustServerCertificate=yes",
    "DRIVER=FreeTDS;SERVER=legacy.example;PORT=1433",
    "DSN=orion",
    "DRIVER=Firebird;DBNAME=legacy.example:/base.fdb",
)
HERE = (
    ("postgresql", "postgresql://r@127.0.0.1/orion?sslmode=disable"),
    ("mariadb", "mariadb://r@localhost/marel?ssl=disabled"),
    ("odbc", "DRIVER=SQLite3;Database=/srv/brigade.db;"),
    ("odbc", "DRIVER=X;SERVER=127.0.0.1;PORT=5432"),
    ("sqlite", "brigade.db"),
)


def config(medium, **more):
    return SourceConfig.model_validate({"medium": medium, "url": "env:LEGACY", "rules": "rules/x", **more})


def refused(medium, url, reference="env:LEGACY", **more):
    with pytest.raises(ConfigurationError) as caught:
        refuse_exposed(config(medium, **more), "38.ORION", reference=reference, url=url)
    return caught.value


@pytest.mark.parametrize("medium", FAR)
def test_a_far_server_that_proves_nothing_is_refused_and_one_that_does_is_not(medium):
    plain, proved = FAR[medium]

    error = refused(medium, plain)

    assert "not asked to prove who it is by TLS" in error.message
    refuse_exposed(config(medium), "38.ORION", reference="env:LEGACY", url=proved)


@pytest.mark.parametrize("string", PROVED_BY_ODBC)
def test_the_words_of_each_driver_that_ask_for_a_certificate_are_known(string):
    refuse_exposed(config("odbc"), "38.ORION", reference="env:LEGACY", url=string)


@pytest.mark.parametrize("string", NOT_PROVED_BY_ODBC)
def test_a_string_that_asks_for_no_certificate_or_hides_it_is_refused(string):
    assert "TLS" in refused("odbc", string).message


@pytest.mark.parametrize(("medium", "url"), HERE)
def test_this_machine_needs_no_proof(medium, url):
    refuse_exposed(config(medium), "38.ORION", reference="env:LEGACY", url=url)


def test_an_exception_has_an_owner_and_holds_until_its_day():
    plain = FAR["mariadb"][0]
    until = {"owner": "Mme Roux, DSI 38", "until": today()}

    refuse_exposed(config("mariadb", plaintext=until), "38.ORION", reference="env:LEGACY", url=plain)
    error = refused("mariadb", plain, plaintext={**until, "until": today() - timedelta(days=1)})

    assert "Mme Roux, DSI 38" in error.message
    for half in ({"owner": "Mme Roux"}, {"until": date(2030, 1, 1)}, {"owner": "", "until": date(2030, 1, 1)}):
        with pytest.raises(ValueError):
            config("mariadb", plaintext=half)


@pytest.mark.parametrize(
    ("medium", "url"),
    [
        ("postgresql", "postgresql://r:hunter2@127.0.0.1/orion"),
        ("mariadb", "mariadb://r:hunter2@127.0.0.1/marel"),
        ("odbc", "DRIVER=X;SERVER=127.0.0.1;UID=r;PWD={hun;ter2}"),
    ],
)
def test_a_password_in_the_project_file_is_refused_and_never_shown(medium, url):
    error = refused(medium, url, reference=url)

    assert "holds a password in banyan.yaml" in error.message
    assert "hun" not in f"{error}{error.hint}{config(medium, url=url)!r}"


def test_a_project_opens_nothing_before_its_addresses_are_judged(tmp_path, monkeypatch):
    source = {"medium": "odbc", "url": "env:LEGACY_38", "rules": "rules/x"}
    department = {"name": "Isère", "time_zone": "Europe/Paris", "domains": ["cases"], "sources": {"ORION": source}}
    (tmp_path / PROJECT_FILE).write_text(yaml.safe_dump({"project": "p", "departments": {"38": department}}))
    monkeypatch.setenv("LEGACY_38", "DRIVER=X;SERVER=legacy.example;PWD=hunter2")
    workspace = Workspace(load_project(tmp_path))

    with pytest.raises(ConfigurationError, match="TLS") as caught:
        workspace.legacy_urls(SourceRef("38", "ORION"))

    assert "hunter2" not in f"{caught.value}{caught.value.hint}{workspace.project!r}"


def test_braces_keep_a_value_with_semicolons_together():
    assert odbc_words("Driver={a;b}}c};PWD={x=1;y};Server=h") == {"driver": "a;b}c", "pwd": "x=1;y", "server": "h"}


def test_changes_of_a_source_that_is_only_read_are_found_by_looking_and_no_other_way():
    assert config("sqlite").capture == "snapshot"
    with pytest.raises(ValueError, match="capture: snapshot"):
        config("odbc", capture="log")
