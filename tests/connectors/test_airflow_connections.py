"""A connection of Airflow as a secret: read from its variable of the environment, without Airflow, in both forms."""

import json

import pytest
from sqlalchemy.engine import make_url

from banyan.config import SourceConfig, read_secret
from banyan.errors import ConfigurationError
from connectors.postgresql import open_postgresql
from connectors.transport import odbc_words, refuse_exposed

NAME = "AIRFLOW_CONN_ORION_38"
SECRET = "p@ss:w/rd%1"
URI = "postgres://banyan_reader:p%40ss%3Aw%2Frd%251@legacy.example:5433/orion?sslmode=verify-full"
DOCUMENT = {
    "conn_type": "postgres",
    "login": "banyan_reader",
    "password": SECRET,
    "host": "legacy.example",
    "port": 5433,
    "schema": "orion",
    "extra": {"sslmode": "verify-full"},
}


@pytest.mark.parametrize(
    "text",
    [URI, json.dumps(DOCUMENT), json.dumps(DOCUMENT | {"extra": '{"sslmode": "verify-full"}', "port": "5433"}),
     URI.partition("?")[0] + "?__extra__=%7B%22sslmode%22%3A+%22verify-full%22%7D"],
    ids=["uri", "json", "json in json", "uri with json"],
)  # fmt: skip
def test_both_forms_give_the_same_url_to_the_letter(monkeypatch, text):
    monkeypatch.setenv(NAME, text)

    url = make_url(read_secret("airflow:orion_38"))

    assert (url.drivername, url.username, url.password) == ("postgresql+psycopg", "banyan_reader", SECRET)
    assert (url.host, url.port, url.database, dict(url.query)) == (
        "legacy.example", 5433, "orion", {"sslmode": "verify-full"},
    )  # fmt: skip
    config = SourceConfig.model_validate({"medium": "postgresql", "url": "airflow:orion_38", "rules": "rules/x"})
    refuse_exposed(config, "38.ORION", reference=config.url, url=read_secret(config.url))


def test_a_connection_to_mariadb_carries_the_files_of_its_tls(monkeypatch):
    extra = {"ssl": {"ca": "/etc/ssl/legacy.pem"}, "charset": "utf8mb4"}
    monkeypatch.setenv(NAME, json.dumps(DOCUMENT | {"conn_type": "mysql", "extra": extra}))

    url = make_url(read_secret("airflow:orion_38"))

    assert (url.drivername, url.password) == ("mariadb+pymysql", SECRET)
    assert dict(url.query) == {"ssl_ca": "/etc/ssl/legacy.pem", "charset": "utf8mb4"}


def test_a_connection_of_odbc_is_the_string_of_its_driver(monkeypatch):
    extra = {"driver": "{ODBC Driver 18 for SQL Server}", "Encrypt": "yes"}
    monkeypatch.setenv(NAME, json.dumps(DOCUMENT | {"conn_type": "odbc", "password": "{a;b}c}", "extra": extra}))

    words = odbc_words(read_secret("airflow:orion_38"))

    assert words == {
        "driver": "ODBC Driver 18 for SQL Server", "encrypt": "yes", "server": "legacy.example", "port": "5433",
        "database": "orion", "uid": "banyan_reader", "pwd": "{a;b}c}",
    }  # fmt: skip


@pytest.mark.parametrize(
    "text",
    ['{"conn_type": "postgres", "password": "tell-nobody"', '{"conn_type": "http", "password": "tell-nobody"}',
     '{"conn_type": "postgres", "password": "tell-nobody", "port": "x"}', "tell-nobody",
     '{"conn_type": "postgres", "password": "tell-nobody", "extra": {"nested": {"a": 1}}}',
     "postgres://u:tell-nobody@host:port/x"],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_without_a_word_of_it(monkeypatch, text):
    monkeypatch.setenv(NAME, text)

    with pytest.raises(ConfigurationError) as caught:
        read_secret("airflow:orion_38")

    assert NAME in caught.value.message
    assert "tell-nobody" not in f"{caught.value.message} {caught.value.hint} {caught.value.__cause__}"


def test_a_connection_that_is_not_in_the_environment_is_named(monkeypatch):
    monkeypatch.delenv(NAME, raising=False)

    with pytest.raises(ConfigurationError, match=f"the environment has no {NAME}"):
        read_secret("airflow:orion_38")


@pytest.mark.server
def test_a_source_is_opened_by_a_connection_of_airflow(cluster, make_database, monkeypatch):
    at = make_url(make_database())
    monkeypatch.setenv(NAME, f"postgres://postgres@{at.host}:{at.port}/{at.database}")
    port = open_postgresql(read_secret("airflow:orion_38"), "public")

    assert port.head() != ""
    port.close()
