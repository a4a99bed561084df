from dataclasses import replace

import polars as pl

from mappings.compile import compile_ruleset
from mappings.programs import fuse, layered
from tests.mappings.hand_rules import BOOK, CONTEXT, PERSON


def test_expressions_stand_in_the_first_layer_that_has_what_they_name():
    a, b, c = pl.col("x").alias("a"), (pl.col("a") + 1).alias("b"), (pl.col("x") * 2).alias("c")

    program = layered([a, b, c])

    assert [[one.meta.output_name() for one in layer] for layer in program.layers] == [["a", "c"], ["b"]]
    assert program.run(pl.DataFrame({"x": [1]})).row(0) == (1, 1, 2, 2)


def test_programs_are_fused_layer_by_layer():
    one = layered([pl.col("x").alias("a"), (pl.col("a") + 1).alias("b")])
    other = layered([(pl.col("x") * 3).alias("c")])

    fused = fuse([one, other])

    assert len(fused.layers) == 2
    assert fused.run(pl.DataFrame({"x": [1]})).to_dicts() == [{"x": 1, "a": 1, "b": 2, "c": 3}]


def test_a_ruleset_is_compiled_once_for_a_source_and_a_zone():
    assert compile_ruleset(PERSON, BOOK, CONTEXT) is compile_ruleset(PERSON, BOOK, CONTEXT)
    elsewhere = replace(CONTEXT, time_zone="Indian/Reunion")
    assert compile_ruleset(PERSON, BOOK, elsewhere) is not compile_ruleset(PERSON, BOOK, CONTEXT)


def test_the_same_rules_without_their_filters_are_compiled_anew():
    bare = replace(PERSON, filters=())

    assert bare.digest == PERSON.digest
    assert compile_ruleset(bare, BOOK, CONTEXT).ruleset.filters == ()
