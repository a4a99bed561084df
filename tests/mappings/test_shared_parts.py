"""Record numbers as keys and parts that many rows share: what the rules refuse, and what the engine makes of them."""

import uuid
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from connectors import write_once
from mappings.compile import compile_ruleset
from mappings.engine import Lookups, MapContext, apply_forward, write_back
from mappings.identity import NAMESPACE
from mappings.model import DELETED, RECNO, RuleBook
from mappings.ruleset import load_rulebook
from tests.mappings.rule_files import place_of_sign, read_errors

FACTS = """\
rule: FACTS@1
source: {system: REGISTER, table: facts, key: [$recno], deletes: "$deleted = '*'", write_once: true}
columns: [$recno, dept, unit, kind, year, facts, $deleted]
emit:
  - part: count
    table: recorded_fact_count
    domain: reference
    main: true
    fields:
      unit_id: {part: unit}
      year: {from: year, lens: number.integer}
      recorded_count: {from: facts, lens: number.integer}
  - part: unit
    table: enforcement_unit
    domain: reference
    share: [dept, unit, kind]
    when: "unit != ''"
    fields:
      unit_code: {from: [dept, unit], lens: 'text.joined(sep: "/")'}
      unit_category_code: {from: kind, code_map: KIND}
residue_only: {$deleted: "read by deletes"}
"""
CODE_MAPS = "code_maps:\n  KIND:\n    entries: {A: BTA, B: BP}\n"
OTHER = """\
rule: OTHER@1
source: {system: REGISTER, table: other, key: [k], write_once: true}
columns: [k]
emit:
  - part: count
    table: recorded_fact_count
    domain: reference
    main: true
    fields:
      unit_id: {from: k, lens: ref(facts.§unit)}
"""
CONTEXT = MapContext("FR", "REGISTER", "Europe/Paris", b"k" * 32, date(2026, 1, 1))
REFUSALS = [
    (
        "record_numbers_of_a_source_that_changes",
        "$recno, dept",
        "§$recno, dept",
        "column $recno means nothing where rows come and go",
        "write_once: true",
    ),
    (
        "a_column_that_no_medium_has",
        "[$recno, dept",
        "[§$rekno, $recno, dept",
        "unknown column of the medium $rekno",
        "did you mean $recno?",
    ),
    ("a_share_that_no_column_has", "share: [dept,", "share: [§depd,", "unknown source column depd", "dept"),
    (
        "a_shared_part_that_reads_another_column",
        "unit_category_code: {from: kind, code_map: KIND}",
        "§valid_from: {from: year, lens: date.yyyymmdd}",
        "part unit is shared and reads column year, which its share does not name",
        "name the column in share",
    ),
    (
        "a_shared_part_that_depends_on_another_column",
        "when: \"unit != ''\"",
        "when: §\"facts != ''\"",
        "part unit is shared and reads column facts, which its share does not name",
        "name the column in share",
    ),
    (
        "a_shared_part_attached_to_one_row",
        "    share: [dept, unit, kind]\n",
        "    share: [dept, unit, kind]\n    §attach: parent_unit_id\n",
        "part unit is shared and attached to one row",
        "{part: unit}",
    ),
    (
        "a_shared_part_that_refers_to_a_part_of_one_row",
        "      unit_category_code:",
        "      §parent_unit_id: {part: count}\n      unit_category_code:",
        "part unit is shared and refers to a part of one row",
        "let the part of the row refer",
    ),
    (
        "a_shared_main_part",
        "    main: true\n",
        "    main: true\n    §share: [year, facts]\n",
        "the main part is shared",
        "share another one",
    ),
]


def write(folder: Path, facts: str = FACTS, other: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    folder.joinpath("facts.yaml").write_text(facts, encoding="utf-8")
    folder.joinpath("code_maps.yaml").write_text(CODE_MAPS, encoding="utf-8")
    if other:
        folder.joinpath("other.yaml").write_text(other, encoding="utf-8")
    return folder


@pytest.fixture
def book(tmp_path: Path) -> RuleBook:
    return load_rulebook(write(tmp_path / "rules"))


def rows_of(*rows: tuple[str | None, ...]) -> pl.DataFrame:
    columns = [RECNO, "dept", "unit", "kind", "year", "facts", DELETED]
    numbered = [(str(number), *row, " ") for number, row in enumerate(rows, 1)]
    return pl.DataFrame(numbered, schema=dict.fromkeys(columns, pl.String), orient="row")


def mapped(book: RuleBook, rows: pl.DataFrame, context: MapContext = CONTEXT):
    return apply_forward(compile_ruleset(book.rulesets["facts"], book, context), rows, context)


@pytest.mark.parametrize(
    ("old", "new", "message", "suggestion"), [row[1:] for row in REFUSALS], ids=[row[0] for row in REFUSALS]
)
def test_what_cannot_be_said_is_refused_at_its_place(tmp_path, old, new, message, suggestion):
    text = FACTS.replace(old, new)
    line, column = place_of_sign(text)
    if "come and go" in message:
        text = text.replace(", write_once: true", "").replace("    share: [dept, unit, kind]\n", "")

    errors = read_errors(write(tmp_path / "rules", text.replace("§", "")))

    found = [one for one in errors if (one.line, one.column) == (line, column)]
    assert [one.message for one in found][:1] == [message]
    assert suggestion in found[0].suggestion


def changing(text: str = FACTS) -> str:
    """Give the rules of the same rows in a source that changes."""
    text = FACTS.replace(", write_once: true", "").replace(", deletes: \"$deleted = '*'\"", "")
    return (
        text.replace("$recno", "k")
        .replace(", $deleted]", "]")
        .replace('residue_only: {$deleted: "read by deletes"}\n', "")
    )


def silent(text: str) -> str:
    """Let no field of the shared part write back."""
    return text.replace("'text.joined(sep: \"/\")'}", "'text.joined(sep: \"/\")', write_back: false}").replace(
        "code_map: KIND}", "code_map: KIND, write_back: false}"
    )


def test_no_field_of_a_part_that_rows_share_writes_back_where_rows_change(tmp_path):
    text = changing().replace("unit_code:", "§unit_code:")
    line, column = place_of_sign(text)

    errors = read_errors(write(tmp_path / "rules", text.replace("§", "")))

    assert (errors[0].line, errors[0].column, errors[0].message) == (
        line, column, "part unit is shared by rows that may change, and no row alone can write unit_code back",
    )  # fmt: skip
    assert "write_back: false keeps its columns as residue" in errors[0].suggestion
    assert len(errors) == 2


def test_the_columns_of_a_shared_part_live_as_residue_where_rows_change(tmp_path):
    book = load_rulebook(write(tmp_path / "rules", silent(changing())))
    compiled = compile_ruleset(book.rulesets["facts"], book, CONTEXT)
    rows = pl.DataFrame(
        [("1", "13", "ARLES", "A", "2012", "5"), ("2", "13", "ARLES", "A", "2013", "7")],
        schema=dict.fromkeys(["k", "dept", "unit", "kind", "year", "facts"], pl.String), orient="row",
    )  # fmt: skip
    found = apply_forward(compiled, rows, CONTEXT)
    owners = found.links.select(pl.col("id").alias("main_id"), pl.col("canonical_id").alias("id"))
    units = found.parts["unit"].unique("id").with_columns(unit_code=pl.lit("13/TARASCON")).join(owners, on="id")

    written = write_back(compiled, {"count": found.parts["count"], "unit": units}, found.crosswalk, Lookups())

    assert compiled.carried == ("dept", "unit", "kind")
    assert found.parts["unit"]["id"].n_unique() == 1
    assert written.rows.sort("k").rows() == rows.select(written.rows.columns).rows()
    assert sorted(written.degraded.select("source_key", "column", "kind").rows()) == [
        ("1", "unit_code", "NO_PLACE"), ("2", "unit_code", "NO_PLACE"),
    ]  # fmt: skip


def test_a_reference_to_a_shared_part_is_refused(tmp_path):
    messages = [one.message for one in read_errors(write(tmp_path / "rules", other=OTHER.replace("§", "")))]

    assert messages == ["part unit of facts is shared: its id does not follow from a key of facts"]


def test_the_digest_of_a_rule_moves_with_what_it_shares(tmp_path, book):
    other = load_rulebook(write(tmp_path / "other", FACTS.replace("[dept, unit, kind]", "[unit, dept, kind]")))

    assert other.digest != book.digest


def test_rules_and_files_use_the_same_names_for_what_the_medium_says():
    assert (RECNO, DELETED) == (write_once.RECNO, write_once.DELETED)


def test_rows_with_the_same_shared_texts_emit_one_record_and_refer_to_it(book):
    found = mapped(
        book,
        rows_of(("13", "ARLES", "A", "2012", "5"), ("13", "ARLES", "A", "2013", ""), ("13", "AIX", "B", "2012", "0")),
    )

    units = found.parts["unit"]
    assert units.height == 3
    assert units["id"].n_unique() == 2
    assert found.parts["count"]["unit_id"].to_list() == units["id"].to_list()
    assert units.unique(["id", "unit_code", "unit_category_code"]).height == 2
    assert found.links["canonical_id"].to_list() == units["id"].to_list()
    assert found.parts["count"]["recorded_count"].to_list() == [5, None, 0]


def test_the_id_of_a_shared_record_can_be_computed_by_hand(book):
    found = mapped(book, rows_of(("13", "ARLES", "A", "2012", "5")))

    name = "FR.REGISTER|facts|2:135:ARLES1:A|0|unit"
    assert found.parts["unit"]["id"].to_list() == [uuid.uuid5(NAMESPACE, name).bytes]


def test_texts_cut_otherwise_and_nulls_never_share_a_record(book):
    found = mapped(
        book,
        rows_of(
            ("1", "23", "A", "1", "1"), ("12", "3", "A", "1", "1"), (None, "3", "A", "1", "1"), ("", "3", "A", "1", "1")
        ),
    )

    assert found.parts["unit"]["id"].n_unique() == 4


def test_a_row_without_the_shared_part_refers_to_none(book):
    found = mapped(book, rows_of(("13", "", "A", "2012", "5"), ("13", "AIX", "B", "2012", "5")))

    assert found.parts["unit"].height == 1
    assert found.parts["count"]["unit_id"].to_list() == [None, found.parts["unit"]["id"][0]]


def test_a_row_that_turned_to_another_shared_record_does_not_rename_the_old_one(book):
    before = mapped(book, rows_of(("13", "ARLES", "A", "2012", "5")))
    links = before.links.select(
        pl.lit("facts").alias("table"), pl.lit("1").alias("key"), pl.col("canonical_id").alias("id"), "part"
    )
    known = MapContext("FR", "REGISTER", "Europe/Paris", b"k" * 32, date(2026, 1, 1), adopted=links)

    after = mapped(book, rows_of(("13", "AIX", "A", "2012", "5")), known)

    assert after.parts["unit"]["id"][0] != before.parts["unit"]["id"][0]


def test_every_raw_text_of_a_shared_part_comes_back(book):
    rows = rows_of(
        ("13", "ARLES", "A", "2012", "5"), ("13", "ARLES", "A", "02013", ""), ("1/3", "AIX", "C", "", " 7"),
        (None, "", "A", "x", None),
    )  # fmt: skip
    compiled = compile_ruleset(book.rulesets["facts"], book, CONTEXT)
    found = mapped(book, rows)
    owners = found.links.select(pl.col("id").alias("main_id"), pl.col("canonical_id").alias("id"))
    units = found.parts["unit"].unique("id").join(owners, on="id")

    written = write_back(compiled, {"count": found.parts["count"], "unit": units}, found.crosswalk, Lookups())

    assert written.rows.sort(RECNO).rows() == rows.select(written.rows.columns).rows()
    assert set(found.rejected_fields.select("source_key", "column").rows()) == {
        ("3", "dept"),
        ("3", "kind"),
        ("4", "year"),
    }
