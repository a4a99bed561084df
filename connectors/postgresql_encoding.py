"""The encoding that a project declares for a PostgreSQL database which has none (SQL_ASCII).

It travels in the URL, as `sslmode` does, so that each account of a source reads and writes the same bytes: reader,
reverse applier, guard, probe and administrator. A server that knows its encoding is believed, whatever is declared.
"""

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from banyan.errors import SourceUnreadable
from wire.alphabet import Alphabet, alphabet_named
from wire.encoded import NO_ENCODING, SESSION_ENCODING, EncodedConnection

_KEY = "encoding"


def with_encoding(url: str, encoding: str) -> str:
    """Give a URL that says the encoding declared; the same one where none is declared."""
    if not encoding or not url:
        return url
    try:
        said = make_url(url).update_query_dict({_KEY: encoding})
    except ArgumentError:  # whoever opens it refuses it, without repeating it
        return url
    return said.render_as_string(hide_password=False)


def parted(url: URL) -> tuple[URL, str]:
    """Part a URL into what the driver understands and the encoding declared."""
    return url.difference_update_query([_KEY]), str(url.query.get(_KEY, ""))


def settle_encoding(connection: EncodedConnection, encoding: str, *, place: str) -> Alphabet | None:
    """Read the texts of a database without encoding as it is declared; refuses one of which nothing is declared.

    Gives the alphabet, or None where the server knows its encoding.
    """
    if connection.info.parameter_status("server_encoding") != NO_ENCODING:
        return None
    if not encoding:
        raise SourceUnreadable(
            f"{place} has no encoding (SQL_ASCII) and none is declared: its bytes cannot be read as text; "
            "nothing was read",
            hint="declare what its people wrote, beside the url in banyan.yaml: encoding: cp1252 (or utf-8, cp850...)",
        )
    alphabet = alphabet_named(encoding)
    connection.spell(alphabet)
    if connection.info.parameter_status("client_encoding") != SESSION_ENCODING:
        raise SourceUnreadable(
            f"{place} does not let a session speak bytes; nothing was read",
            hint="reach the server itself, without a pool between that settles the encoding of its sessions",
        )
    return alphabet
