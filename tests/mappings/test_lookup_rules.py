"""What a rule may look up in another legacy table: refused at its place, explained, traced, shown by golden records."""

from datetime import date

import polars as pl
import pytest
from posts import CONTROLE, POSTE, write_rules

from banyan.errors import ConfigurationError
from mappings.compile import compile_ruleset
from mappings.contract import contract
from mappings.engine import MapContext, apply_forward
from mappings.golden import run_golden
from mappings.lineage import Way, column_lineage
from mappings.ruleset import load_rulebook
from mappings.wording import explain_ruleset
from tests.mappings.rule_files import place_of_sign, read_errors

HERE = "      §serial_number: {from: poste, lens: lookup(t_poste.libelle)}"
FIELD = HERE.replace("§", "")
REFUSALS = [
    (
        "an_unknown_table",
        HERE.replace("t_poste", "t_post"), POSTE, "unknown table t_post in a look-up", "did you mean t_poste?",
    ),
    (
        "an_unknown_column",
        HERE.replace("libelle", "libele"), POSTE, "unknown column libele of t_poste", "did you mean libelle?",
    ),
    (
        "a_target_without_a_column",
        HERE.replace("t_poste.libelle", "t_poste"), POSTE, "unknown column (none) of t_poste", "libelle",
    ),
    (
        "a_dropped_column",
        HERE.replace("libelle", "lieu"),
        POSTE.replace("residue_only: {lieu: ", "drop:\n  lieu: {legal_basis: "),
        "column lieu of t_poste is dropped",
        "what may not be held is not looked up either",
    ),
    (
        "rows_that_may_be_kept_out",
        HERE,
        POSTE + "filters:\n  - {rule: closed, when: \"lieu = 'X'\", legal_basis: none}\n",
        "rows of t_poste may be kept out, and their texts may not come in through a look-up",
        "ref(",
    ),
    (
        "a_key_of_another_length",
        HERE,
        POSTE.replace("key: [code]", "key: [code, lieu]").replace("residue_only: {lieu", "side_effects: {lieu"),
        "the key of t_poste has 2 column(s), 1 given",
        "the key of t_poste is code and lieu",
    ),
    (
        "a_number_in_place_of_the_target",
        FIELD.replace("lookup(t_poste.libelle)", "lookup(§3)"),
        POSTE,
        "parameter target of lens lookup must be a text",
        "lookup(target: ...)",
    ),
    (
        "no_target",
        FIELD.replace("lookup(t_poste.libelle)", "§lookup"),
        POSTE,
        "lens lookup lacks its parameter target",
        "lookup(target: ...)",
    ),
    (
        "a_column_of_another_kind",
        HERE.replace("serial_number", "quantity"),
        POSTE,
        "column quantity is numeric(18,4), lens lookup yields text",
        "lenses that yield numeric(18,4)",
    ),
    (
        "more_columns_than_it_yields",
        FIELD.replace("libelle)}", "libelle), also: [§description]}"),
        POSTE,
        "lens lookup yields 1 column(s), 2 named",
        "text",
    ),
]  # fmt: skip
GOLDEN = """\
golden: t_controle
records:
  - name: the post of a check is told by its label
    row: {id_controle: "1", poste: P1, note: vu}
    looked_up: {t_poste.libelle: {P1: NORD, P2: SUD, P3: SUD}}
    records: {check: {item_category_code: VEHICLE, description: vu, serial_number: NORD}}
    edits:
      - {edit: {check: {serial_number: SUD}}, degraded: {serial_number: UNKNOWN_REFERENCE}}
  - name: a label that two posts bear does not bring its key back
    row: {id_controle: "2", poste: P2}
    looked_up: {t_poste.libelle: {P1: NORD, P2: SUD, P3: SUD}}
    records: {check: {item_category_code: VEHICLE, serial_number: SUD}}
    residue: [poste]
    edits:
      - {edit: {check: {serial_number: NORD}}, writes: {poste: P1}}
  - name: a post that is not there is refused and kept
    row: {id_controle: "3", poste: P9}
    looked_up: {t_poste.libelle: {P1: NORD}}
    records: {check: {item_category_code: VEHICLE}}
    rejected: {poste: "no row of t_poste has this key, or several have"}
    residue: [poste]
"""


@pytest.fixture
def book(tmp_path):
    return load_rulebook(write_rules(tmp_path / "rules"))


@pytest.mark.parametrize(
    ("field", "poste", "message", "suggestion"), [row[1:] for row in REFUSALS], ids=[row[0] for row in REFUSALS]
)
def test_a_look_up_that_cannot_be_made_is_refused_at_its_place(tmp_path, field, poste, message, suggestion):
    text = CONTROLE.replace(FIELD, field)
    line, column = place_of_sign(text)

    errors = read_errors(write_rules(tmp_path / "rules", controle=text.replace("§", ""), poste=poste))

    found = [one for one in errors if (one.line, one.column) == (line, column)]
    assert [one.message for one in found] == [message]
    assert suggestion in found[0].suggestion


def test_golden_records_say_what_the_other_table_holds(tmp_path):
    folder = write_rules(tmp_path / "rules")
    folder.joinpath("golden").mkdir()
    folder.joinpath("golden", "t_controle.yaml").write_text(GOLDEN, encoding="utf-8")

    run = run_golden(load_rulebook(folder), folder)

    assert [(one.name, one.differences) for one in run.results if not one.holds] == []
    assert (len(run.results), run.diagnostics) == (3, ())


def test_what_was_not_read_is_an_error_and_never_an_unknown_key(book):
    context = MapContext("38", "POSTS", "Europe/Paris", b"k" * 32, date(2026, 1, 1))
    rows = pl.DataFrame({name: ["1"] for name in book.rulesets["t_controle"].columns})

    with pytest.raises(ConfigurationError, match=r"looks up t_poste\.libelle, which was not read; nothing"):
        apply_forward(compile_ruleset(book.rulesets["t_controle"], book, context), rows, context)


def test_lineage_names_both_tables_and_only_the_key_is_written_back(book):
    steps = [one for one in column_lineage(book) if one.canonical_column == "serial_number"]

    assert [(one.table, one.column, one.way, one.is_written_back) for one in steps] == [
        ("t_poste", "libelle", Way.LOOKED_UP, False),
        ("t_controle", "poste", Way.LOOKUP_KEY, True),
    ]


def test_a_steward_reads_where_the_text_comes_from_and_what_may_be_written(book):
    told = {one.about: one.sentence for one in explain_ruleset(book.rulesets["t_controle"], book)}
    terms = [one for one in contract(book) if "serial_number" in one.columns]

    assert told["check.serial_number"].startswith("is libelle of the row of t_poste whose key is poste; ")
    assert [(term.degraded, term.sentence.english) for term in terms] == [
        ("UNKNOWN_REFERENCE", "serial_number: only what one row of t_poste, and no other, says.")
    ]
    assert terms[0].sentence.french == "« serial_number » : seulement ce qu'une ligne, et une seule, de t_poste dit."
