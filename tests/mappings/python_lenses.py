"""Lenses written in Python, as a project would bring them: one on a Polars Series, one on a pandas Series."""

import polars as pl

from mappings.lenses.python import Library, PythonLens


def without_prefix(texts: pl.Series) -> pl.Series:
    return texts.str.extract("^REF-([0-9]+)$")


def with_prefix(values: pl.Series) -> pl.Series:
    return values.to_frame("v").select("REF-" + pl.col("v")).to_series()


NUMBERED = PythonLens(without_prefix, with_prefix, ("REF-12", "REF-0"))
MIRRORED = PythonLens(lambda texts: texts.str[::-1], lambda values: values.str[::-1], ("abc", ""), Library.PANDAS)
BROKEN = PythonLens(lambda texts: texts.str.to_uppercase(), lambda values: values, ("abc",))
