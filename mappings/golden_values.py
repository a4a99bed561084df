"""Canonical values as golden records write them: one plain text for each kind."""

import uuid
from datetime import UTC, date, datetime
from decimal import Decimal

from banyan.canonical.model import Kind

_BYTES_OF_AN_ID = 16


def show_value(value: object) -> str | None:
    """Write a canonical value: days and instants as ISO 8601 in UTC, booleans true and false, ids as UUIDs."""
    match value:
        case None:
            return None
        case bool():
            return "true" if value else "false"
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case date():
            return value.isoformat()
        case Decimal():
            return f"{value.normalize():f}"
        case bytes() if len(value) == _BYTES_OF_AN_ID:
            return str(uuid.UUID(bytes=value))
        case _:
            return str(value)


def read_value(text: str | None, kind: Kind) -> object:
    """Read a text as a value of a kind; a text that is none raises ValueError."""
    if text is None:
        return None
    match kind:
        case Kind.DATE:
            return date.fromisoformat(text)
        case Kind.INSTANT:
            return datetime.fromisoformat(text)
        case Kind.BOOLEAN:
            return {"true": True, "false": False}[text]
        case Kind.SMALLINT | Kind.INTEGER | Kind.BIGINT:
            return int(text)
        case Kind.NUMERIC:
            return Decimal(text)
        case Kind.DOUBLE:
            return float(text)
        case Kind.UUID | Kind.BYTES:
            return uuid.UUID(text).bytes
        case Kind.TEXT:
            return text
