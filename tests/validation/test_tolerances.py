"""Tolerances: read from the rules, refused where they mean nothing, and never wider than they say."""

import shutil
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

import mappings
from banyan.errors import RulesetError
from mappings.difference import difference
from mappings.model import Tolerance, ToleranceKind
from mappings.ruleset import load_rulebook
from mappings.tolerances import tolerances_of
from validation.differences import compare_part

ORION = Path(mappings.__file__).parent / "rules" / "orion"
NOON = datetime(2024, 5, 1, 12, 0, 0, tzinfo=UTC)
OCCURRED = "lens: instant.local, also: [occurred_precision_code]"


def rules_with(folder: Path, table: str, old: str, new: str):
    own = folder / "orion"
    if not own.exists():
        shutil.copytree(ORION, own)
    path = own / f"{table}.yaml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return own


def test_a_field_declares_what_its_legacy_type_cannot_tell_apart(tmp_path):
    before = load_rulebook(ORION)

    book = load_rulebook(rules_with(tmp_path, "t_fait", OCCURRED, f"{OCCURRED}, tolerance: minute"))

    incident = book.rulesets["t_fait"].part("incident")
    assert tolerances_of(incident) == {"occurred_from": Tolerance(ToleranceKind.MINUTE)}, "not the precision beside it"
    assert book.rulesets["t_fait"].digest != before.rulesets["t_fait"].digest
    assert [change.place for change in difference(before, book)] == ["incident.occurred_from"]


@pytest.mark.parametrize(
    ("table", "old", "tolerance", "said"),
    [
        ("t_fait", "lens: text.max(80)", "second", "tolerance second is for timestamptz"),
        ("t_fait", "lens: text.max(80)", "trailing_blanks", "the lens of the field carries blanks at the end"),
        ("t_fait", "lens: number.integer", "decimals(2)", "tolerance decimals(2) is for numeric"),
        ("t_fait", "lens: instant.local", "hour", "tolerance is not written as it must be"),
    ],
)
def test_a_tolerance_that_means_nothing_is_refused_at_its_place(tmp_path, table, old, tolerance, said):
    rules = rules_with(tmp_path, table, old, f'{old}, tolerance: "{tolerance}"')

    with pytest.raises(RulesetError) as caught:
        load_rulebook(rules)

    assert said in caught.value.message
    assert caught.value.message.startswith(f"{rules / table}.yaml:")


def compared(dtype, expected, found, tolerance):
    ids = [number.to_bytes(16, "big") for number in range(len(expected))]
    frame = pl.DataFrame({"id": ids, "main_id": ids, "source_key": [str(n) for n in range(len(ids))]})
    done = compare_part(
        "incident",
        frame.with_columns(pl.Series("summary", expected, dtype=dtype)),
        pl.DataFrame({"id": ids}).with_columns(pl.Series("summary", found, dtype=dtype)),
        ruled=["summary"],
        rejected=pl.DataFrame(schema={"source_key": pl.String, "column": pl.String}),
        tolerances={} if tolerance is None else {"summary": tolerance},
    )
    return done.differences["source_key"].to_list(), done.tolerated.get("summary", 0)


@pytest.mark.parametrize(
    ("dtype", "expected", "found", "tolerance", "differ", "tolerated"),
    [
        (
            pl.Datetime("us", "UTC"),
            [NOON, NOON, NOON, NOON],
            [NOON, NOON + timedelta(microseconds=999_999), NOON - timedelta(seconds=1), None],
            Tolerance(ToleranceKind.SECOND), ["2", "3"], 1,
        ),
        (
            pl.Datetime("us", "UTC"),
            [NOON, NOON, None],
            [NOON + timedelta(seconds=59), NOON + timedelta(seconds=60), NOON],
            Tolerance(ToleranceKind.MINUTE), ["1", "2"], 1,
        ),
        (
            pl.Decimal(18, 4),
            [Decimal("1.00"), Decimal("1.00"), Decimal("1.00")],
            [Decimal("1.0099"), Decimal("1.0100"), None],
            Tolerance(ToleranceKind.DECIMALS, 2), ["1", "2"], 1,
        ),
        (
            pl.String(),
            ["A", "A", "A", "A"],
            ["A  ", " A", "A\t", "a"],
            Tolerance(ToleranceKind.TRAILING_BLANKS), ["1", "2", "3"], 1,
        ),
        (pl.String(), ["A", "A"], ["A ", "A"], None, ["0"], 0),
    ],
)  # fmt: skip
def test_values_are_the_same_within_what_was_declared_and_no_further(
    dtype, expected, found, tolerance, differ, tolerated
):
    assert compared(dtype, expected, found, tolerance) == (differ, tolerated)


def test_nothing_is_not_the_empty_text_and_no_separator_joins_two_columns():
    kinds = {"id": pl.Binary, "main_id": pl.Binary, "source_key": pl.String}
    frame = pl.DataFrame(
        {"id": [b"1", b"2", b"3"], "main_id": [b"1", b"2", b"3"], "source_key": ["1", "2", "3"]}, kinds
    )
    expected = {"title": [None, "", "a|b"], "body": ["x", "x", "c"]}
    stored = {"title": ["", None, "a"], "body": ["x", "x", "b|c"]}

    done = compare_part(
        "document",
        frame.with_columns(**{name: pl.Series(values, dtype=pl.String) for name, values in expected.items()}),
        frame.select("id").with_columns(
            **{name: pl.Series(values, dtype=pl.String) for name, values in stored.items()}
        ),
        ruled=["title", "body"],
        rejected=pl.DataFrame(schema={"source_key": pl.String, "column": pl.String}),
    )

    found = done.differences.select("source_key", "column").rows()
    assert sorted(found) == [("1", "title"), ("2", "title"), ("3", "body"), ("3", "title")]
