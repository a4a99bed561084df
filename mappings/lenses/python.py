"""The way out: a lens written in Python on a whole column, with its own inverse, proven on its own examples."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, assert_never

import polars as pl

from mappings.lenses.lens import Backward, Columns, Degradation, Forward, Lens, LensSetting, Objection, Refusal, Steps

UNREADABLE = "a text that the Python lens does not read"
UNWRITABLE = "a value that the Python lens does not write"


class Library(Enum):
    """Which kind of Series a Python lens is given and answers."""

    POLARS = "polars"
    PANDAS = "pandas"


@dataclass(frozen=True, slots=True)
class PythonLens:
    """Two functions on a whole column of texts; what they cannot carry they answer with null.

    Each text is read by itself: the answer for a row may not depend on other rows. `examples` are texts of the
    domain; a lens that does not bring each of them back byte for byte is refused when rules are compiled.
    """

    forward: Callable[[Any], Any]
    backward: Callable[[Any], Any]
    examples: tuple[str, ...]
    library: Library = Library.POLARS

    def read(self, texts: pl.Series) -> pl.Series:
        """Read raw texts."""
        return self._call(self.forward, texts)

    def write(self, values: pl.Series) -> pl.Series:
        """Write values as raw texts."""
        return self._call(self.backward, values)

    def _call(self, function: Callable[[Any], Any], texts: pl.Series) -> pl.Series:
        match self.library:
            case Library.POLARS:
                answer: pl.Series = function(texts)
            case Library.PANDAS:
                answer = pl.Series(texts.name, function(texts.to_pandas()), dtype=pl.String)
            case _:
                assert_never(self.library)
        if len(answer) != len(texts):
            raise ValueError(f"a Python lens answered {len(answer)} values for {len(texts)}")
        return answer.cast(pl.String)


def find_python_lens(path: str) -> PythonLens:
    """Import a lens named `package.module:name` and prove it on its examples."""
    module, _, name = path.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"there is no Python lens {path}") from error
    if not isinstance(found, PythonLens) or not found.examples:
        raise ValueError(f"{path} is not a PythonLens with examples")
    texts = pl.Series("example", list(found.examples), dtype=pl.String)
    if not found.write(found.read(texts)).eq_missing(texts).all():
        raise ValueError(f"the Python lens {path} does not bring its own examples back")
    return found


def _forward(columns: Columns, setting: LensSetting) -> Forward:
    lens, steps = find_python_lens(setting.text("lens")), Steps()
    value = steps.let("value", columns[0].map_batches(lens.read, return_dtype=pl.String, is_elementwise=True))
    unread = value.is_null() & (columns[0].str.strip_chars(" ") != "")
    return Forward((value,), (Objection(unread, UNREADABLE),), steps=steps.taken)


def _backward(values: Columns, setting: LensSetting) -> Backward:
    lens, steps = find_python_lens(setting.text("lens")), Steps()
    raw = steps.let("raw", values[0].map_batches(lens.write, return_dtype=pl.String, is_elementwise=True))
    unwritten = values[0].is_not_null() & raw.is_null()
    return Backward((raw,), (Refusal(unwritten, Degradation.OUT_OF_ALPHABET, UNWRITABLE),), steps.taken)


PYTHON = Lens(_forward, _backward)
