"""Connections as Airflow writes them in the environment, turned into what a source asks for.

Both forms of Airflow are understood, the URI and the JSON document; Airflow itself is not needed, and its database of
connections is not asked. Given is a URL, or the string of an ODBC connection.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from banyan.errors import ConfigurationError

_DRIVERS: Final = {
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "mysql": "mariadb+pymysql",
    "mariadb": "mariadb+pymysql",
}
_TLS_FILES: Final = ("ca", "cert", "key")


@dataclass(frozen=True, slots=True)
class _Connection:
    """One connection of Airflow, taken apart."""

    kind: str
    login: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    host: str = ""
    port: int | None = None
    schema: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)


def read_connection(name: str, text: str) -> str:
    """Give the URL, or the ODBC string, of the connection in a variable; no part of it is ever told in an error."""
    try:
        found = _from_json(json.loads(text)) if text.startswith("{") else _from_uri(text)
        options = _options(found)
    except (ValueError, TypeError, AttributeError):
        raise ConfigurationError(
            f"{name} is neither a URI nor a JSON document as Airflow writes them; nothing was opened",
            hint="airflow connections get writes both forms",
        ) from None
    if found.kind == "odbc":
        return _odbc_string(found, options)
    driver = _DRIVERS.get(found.kind)
    if driver is None:
        raise ConfigurationError(
            f"{name} has the connection type {found.kind or 'none'}, which no source reads; nothing was opened",
            hint=f"one of {', '.join(_DRIVERS)}, odbc",
        )
    return _url(driver, found, options)


def _from_uri(text: str) -> _Connection:
    parts = urlsplit(text)
    if not parts.scheme:
        raise ValueError
    extra: dict[str, Any] = dict(parse_qsl(parts.query, keep_blank_values=True))
    whole = extra.pop("__extra__", None)
    if whole is not None:
        extra |= json.loads(whole)
    return _Connection(
        parts.scheme.lower().replace("-", "_"),
        unquote(parts.username or ""),
        unquote(parts.password or ""),
        unquote(parts.hostname or ""),
        parts.port,
        unquote(parts.path.removeprefix("/")),
        extra,
    )


def _from_json(found: Mapping[str, Any]) -> _Connection:
    extra = found.get("extra") or {}
    return _Connection(
        str(found.get("conn_type") or "").lower().replace("-", "_"),
        str(found.get("login") or ""),
        str(found.get("password") or ""),
        str(found.get("host") or ""),
        int(found["port"]) if found.get("port") else None,
        str(found.get("schema") or ""),
        dict(json.loads(extra) if isinstance(extra, str) else extra),
    )


def _options(found: _Connection) -> dict[str, str]:
    """Give what `extra` says, flat; what holds more than one value is refused, but for the files of TLS."""
    options: dict[str, str] = {}
    for name, value in found.extra.items():
        match value:
            case str() | int() | float():
                options[name] = str(value)
            case dict() if name == "ssl" and set(value) <= set(_TLS_FILES):
                options |= {f"ssl_{part}": str(path) for part, path in value.items()}
            case _:
                raise ValueError
    return options


def _url(driver: str, found: _Connection, options: Mapping[str, str]) -> str:
    account = quote(found.login, safe="")
    if found.password:
        account += ":" + quote(found.password, safe="")
    host = f"[{found.host}]" if ":" in found.host else found.host
    place = host + (f":{found.port}" if found.port else "")
    query = f"?{urlencode(options)}" if options else ""
    return f"{driver}://{account}@{place}/{quote(found.schema, safe='')}{query}"


def _odbc_string(found: _Connection, options: Mapping[str, str]) -> str:
    known = {
        "SERVER": found.host,
        "PORT": str(found.port or ""),
        "DATABASE": found.schema,
        "UID": found.login,
        "PWD": found.password,
    }
    parts = {name.upper(): value for name, value in options.items()}
    parts |= {name: value for name, value in known.items() if value}
    if "DRIVER" in parts:  # written with its braces, or without
        parts["DRIVER"] = parts["DRIVER"].removeprefix("{").removesuffix("}")
    first = ("DSN", "DRIVER")
    ordered = sorted(parts, key=lambda name: (name not in first, name))
    return ";".join(f"{name}={_braced(parts[name])}" for name in ordered)


def _braced(value: str) -> str:
    if not set(value) & set(";{}="):
        return value
    return "{" + value.replace("}", "}}") + "}"
