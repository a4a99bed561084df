"""How a legacy system may be reached: secrets by reference, and the other side proved by TLS when it is far away.

A legacy system that cannot speak TLS is a declared exception, with an owner and an end: `plaintext` under the source.
"""

from typing import Final

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from banyan.clock import today
from banyan.config import SourceConfig
from banyan.errors import ConfigurationError

_HERE: Final = (None, "", "localhost", "127.0.0.1", "::1")
_REFERENCES: Final = ("env:", "file:", "airflow:", "embedded:")
_SERVER_WORDS: Final = ("server", "host", "hostname", "servername", "dbq", "dbname", "data source", "address")
_PASSWORD_WORDS: Final = ("pwd", "password")
_YES: Final = ("1", "yes", "true", "mandatory", "strict")


def refuse_exposed(config: SourceConfig, name: str, *, reference: str, url: str) -> None:
    """Refuse a password written in banyan.yaml, and a far server that is not asked to prove who it is."""
    is_reference = reference.startswith(_REFERENCES)
    if not is_reference and _holds_password(config.medium, url):
        raise ConfigurationError(
            f"the address of {name} holds a password in banyan.yaml; nothing was opened",
            hint="give it by reference: url: env:NAME, url: file:PATH, or url: airflow:CONN_ID",
        )
    if _is_here(config.medium, url) or _is_proved(config.medium, url):
        return
    exception = config.plaintext
    if exception is None:
        raise ConfigurationError(
            f"{name} is far away and not asked to prove who it is by TLS; nothing was opened",
            hint="ask for a verified connection, or declare it: plaintext: {owner: NAME, until: DAY} under the source",
        )
    if exception.until < today():
        raise ConfigurationError(
            f"{name} was declared to be reached without TLS until {exception.until}, by {exception.owner}; nothing was "
            "opened",
            hint="have the server speak TLS, or ask the owner for another end",
        )


def odbc_words(connection_string: str) -> dict[str, str]:
    """Read the words of an ODBC connection string, in small letters; braces keep what stands between them together."""
    words: dict[str, str] = {}
    rest = connection_string
    while rest:
        word, _, rest = rest.partition("=")
        if rest.startswith("{"):
            value, rest = _braced(rest[1:])
            rest = rest.partition(";")[2]
        else:
            value, _, rest = rest.partition(";")
        if word.strip():
            words[word.strip().lower()] = value.strip()
    return words


def _braced(text: str) -> tuple[str, str]:
    value = ""
    while True:
        piece, closing, text = text.partition("}")
        value += piece
        if not closing or not text.startswith("}"):
            return value, text
        value, text = value + "}", text[1:]


def _holds_password(medium: str, url: str) -> bool:
    if medium == "odbc":
        return any(odbc_words(url).get(word) for word in _PASSWORD_WORDS)
    if medium not in ("postgresql", "mariadb"):
        return False
    try:
        return bool(make_url(url).password)
    except ArgumentError:
        return False  # the connector says what is wrong with it


def _is_here(medium: str, url: str) -> bool:
    if medium == "odbc":
        words = odbc_words(url)
        if "dsn" in words or "filedsn" in words:
            return False  # what it holds cannot be read here
        servers = [words[word] for word in _SERVER_WORDS if word in words]
        hosts = [server.removeprefix("tcp:").partition(",")[0].partition(":")[0] for server in servers]
        return all(host.lower() in _HERE for host in hosts)
    if medium not in ("postgresql", "mariadb"):
        return True
    try:
        host = make_url(url).host
    except ArgumentError:
        return True  # the connector refuses it
    return host in _HERE or str(host).startswith("/")


def _is_proved(medium: str, url: str) -> bool:
    match medium:
        case "postgresql":
            return make_url(url).query.get("sslmode", "verify-full") == "verify-full"
        case "mariadb":
            return make_url(url).query.get("ssl") != "disabled"
        case _:
            return _is_odbc_proved(odbc_words(url))


def _is_odbc_proved(words: dict[str, str]) -> bool:
    """Tell whether a driver is asked to check a certificate, in the words of each maker."""
    said = {word: value.lower() for word, value in words.items()}
    if said.get("sslmode") == "verify-full":  # psqlODBC
        return True
    if said.get("sslverify") in _YES and (said.get("forcetls") in _YES or "sslca" in said):  # MariaDB
        return True
    if said.get("encrypt") in _YES and said.get("trustservercertificate", "no") not in _YES:  # SQL Server
        return True
    if said.get("security") == "ssl" and said.get("sslclienthostnamevalidation", "basic") == "basic":  # Db2
        return True
    return "tcps" in said.get("dbq", "")  # Oracle
