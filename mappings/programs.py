"""Expressions that name one another, set in layers: each is computed once, and many fields run as one program.

What a call of Polars costs, it costs for one row as for a thousand; a program is built once, when a rule is compiled,
and the programs of all fields of a table are fused, so that a handful of rows takes a handful of calls.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain, zip_longest

import polars as pl


@dataclass(frozen=True, slots=True)
class Program:
    """Named expressions in layers; those of a layer name columns of the frame and of the layers before."""

    layers: tuple[tuple[pl.Expr, ...], ...] = field(default=(), repr=False)

    def run(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Give the frame with a column more for each expression."""
        for layer in self.layers:
            frame = frame.with_columns(layer)
        return frame


def layered(named: Sequence[pl.Expr]) -> Program:
    """Set expressions, each of which may name the ones before it, in as few layers as their names allow."""
    depth: dict[str, int] = {}
    layers: list[list[pl.Expr]] = []
    for expression in named:
        place = max((depth[root] + 1 for root in expression.meta.root_names() if root in depth), default=0)
        depth[expression.meta.output_name()] = place
        if place == len(layers):
            layers.append([])
        layers[place].append(expression)
    return Program(tuple(tuple(layer) for layer in layers))


def fuse(programs: Iterable[Program]) -> Program:
    """Make one program of many that share no column but those of the frame."""
    together = zip_longest(*(program.layers for program in programs), fillvalue=())
    return Program(tuple(tuple(chain.from_iterable(layers)) for layers in together))
