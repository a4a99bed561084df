"""Frozen values as canonical JSON and back: sorted keys, ASCII only, no float; same value, same bytes."""

import json
import types
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import TypeVar, cast

T = TypeVar("T")
_COMPACT = (",", ":")


def encode(value: object) -> bytes:
    """Give the canonical JSON of a value, ending with a newline."""
    plain = to_plain(value)
    text = json.dumps(plain, sort_keys=True, ensure_ascii=True, separators=_COMPACT, allow_nan=False)
    return text.encode("ascii") + b"\n"


def to_plain(value: object) -> object:
    """Turn frozen values into dictionaries, lists, texts, integers and booleans; refuse a float."""
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: to_plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): to_plain(inner) for name, inner in value.items()}
    if isinstance(value, tuple | list):
        return [to_plain(inner) for inner in value]
    raise TypeError(f"{type(value).__name__} has no canonical form")


def from_plain(kind: type[T], plain: object) -> T:
    """Build a value of a declared kind from what `to_plain` gave; refuse what does not fit."""
    return cast(T, _build(kind, plain))


def _build(kind: object, plain: object) -> object:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _build_one_of(arguments, plain)
    if origin is tuple:
        return tuple(_build(arguments[0], inner) for inner in _expect(list, plain))
    if origin is dict:
        return {name: _build(arguments[1], inner) for name, inner in _expect(dict, plain).items()}
    if not isinstance(kind, type):
        raise TypeError(f"{kind} cannot be built")
    if is_dataclass(kind):
        return _build_dataclass(kind, _expect(dict, plain))
    if issubclass(kind, Enum):
        return kind(plain)
    if kind is Decimal:
        return Decimal(_expect(str, plain))
    if kind is datetime:
        return datetime.fromisoformat(_expect(str, plain))
    return _expect(kind, plain)


def _build_dataclass(kind: type, plain: dict[str, object]) -> object:
    kinds = typing.get_type_hints(kind)
    unknown = plain.keys() - kinds.keys()
    if unknown:
        raise ValueError(f"{kind.__name__} does not know {', '.join(sorted(unknown))}")
    return kind(**{name: _build(kinds[name], inner) for name, inner in plain.items()})


def _build_one_of(kinds: tuple[object, ...], plain: object) -> object:
    if plain is None and type(None) in kinds:
        return None
    simple = (bool, int, str, type(None))
    if type(plain) in kinds and type(plain) in simple:
        return plain
    left = [kind for kind in kinds if kind not in simple]
    if len(left) != 1:
        raise ValueError("the value fits none of the kinds declared")
    return _build(left[0], plain)


def _expect(kind: type[T], plain: object) -> T:
    if type(plain) is not kind:
        raise ValueError(f"expected {kind.__name__}, found {type(plain).__name__}")
    return plain
