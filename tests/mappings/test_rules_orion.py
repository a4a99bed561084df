import json
import re
from datetime import date
from pathlib import Path

import polars as pl
import pytest
import yaml
from typer.testing import CliRunner

from cli.rules import map_app
from estate.catalogue import Defect
from estate.orion import generate
from estate.schema import legacy_tables
from estate.vocabulary import code_values
from mappings.apply import apply_forward
from mappings.closure import load_order
from mappings.compile import compile_ruleset
from mappings.coverage import coverage
from mappings.lint import lint
from mappings.model import FateKind, RuleBook
from mappings.outcomes import MapContext, Mapped
from mappings.ruleset import load_rulebook
from mappings.schema import code_maps_schema, ruleset_schema
from tests.mappings.rule_files import PERSONNE, write_rules

ORION = Path(__file__).parents[2] / "mappings" / "rules" / "orion"
TABLES = set(legacy_tables())
RECORDS = {table for table in TABLES if table.startswith("t_")}


@pytest.fixture(scope="module")
def book():
    return load_rulebook(ORION)


def test_the_shipped_rules_name_every_column_of_the_legacy_tables_in_order(book):
    columns = {table: tuple(column.name for column in legacy_tables()[table]) for table in TABLES}

    assert {table: rules.columns for table, rules in book.rulesets.items()} == columns
    assert len(coverage(book)) == sum(len(names) for names in columns.values())


def test_the_shipped_rules_are_without_remark(book):
    assert lint(book) == []


def test_the_width_of_each_padded_or_bounded_column_is_that_of_the_legacy_table(book):
    widths = {(table, one.name): one for table in TABLES for one in legacy_tables()[table]}

    wrong = [
        (table, rule.sources[0])
        for table, rules in book.rulesets.items()
        for part in rules.parts
        for rule in part.fields
        if rule.lens is not None and rule.lens.name in ("text.padded", "text.max", "name.given", "number.decimal_comma")
        if rule.lens.args[0] != widths[table, rule.sources[0]].width
        or (rule.lens.name == "text.padded") != widths[table, rule.sources[0]].is_padded
    ]

    assert wrong == []


def test_what_the_law_forbids_and_what_nobody_understands_have_their_fate(book):
    fates = {(one.table, one.column): (one.fate, one.reason) for one in coverage(book)}

    assert fates["t_personne", "religion"] == (FateKind.DROPPED, "LED art. 10, not necessary")
    for table in ("t_personne", "t_proc"):
        assert fates[table, "flag3"] == (FateKind.RESIDUE_ONLY, "unknown since 1997, kept verbatim")
    assert all(fates[table, "dt_maj"][0] is FateKind.RESIDUE_ONLY for table in RECORDS)
    assert "tr_nom" in book.rulesets["t_personne"].side_effects["nom"]
    assert all("tr_maj" in book.rulesets[table].side_effects["dt_maj"] for table in RECORDS)


@pytest.mark.parametrize(
    ("legacy_table", "code_map"),
    [
        ("sexe", "SEX"), ("qualite", "ROLE"), ("type_proc", "CASE_CATEGORY"), ("cadre", "LEGAL_FRAMEWORK"),
        ("statut", "CASE_STATUS"), ("suite", "DISPOSITION"), ("suite", "FILE_EFFECT"), ("cat_obj", "ITEM_CATEGORY"),
        ("statut_o", "ITEM_STATUS"), ("statut_v", "VEHICLE_STATUS"), ("pays", "COUNTRY"), ("couleur", "COLOUR"),
        ("adresse", "ADDRESS_KIND"), ("tel", "PHONE_KIND"), ("marque", "MAKE"), ("tj", "COURT"), ("grade", "RANK"),
        ("qualif", "JUDICIAL_CAPACITY"), ("unite", "UNIT_CATEGORY"), ("flag", "CLEARANCE"),
        ("piece", "DOCUMENT_CATEGORY"), ("evenement", "EVENT"),
    ],
)  # fmt: skip
def test_every_code_of_the_legacy_code_table_is_decided(book, legacy_table: str, code_map: str):
    codes = set(code_values().filter(pl.col("table") == legacy_table)["code"])

    assert codes
    assert set(book.code_maps[code_map].entries) == codes


def test_every_canonical_code_comes_back_as_a_source_code_of_the_same_meaning(book):
    for code_map in book.code_maps.values():
        backward = code_map.backward()
        assert set(backward) == set(code_map.entries.values())
        assert all(code_map.entries[source] == canonical for canonical, source in backward.items())
    assert book.code_maps["SEX"].backward() == {"M": "M", "F": "F"}


def map_all(book: RuleBook, tables: dict[str, pl.DataFrame]) -> dict[str, Mapped]:
    """Map every table of an estate, parents before children."""
    filtered: dict[str, pl.Series] = {}
    done: dict[str, Mapped] = {}
    for table in load_order(book):
        context = MapContext("38", "ORION", "Europe/Paris", b"k" * 32, date(2026, 11, 1), filtered=dict(filtered))
        done[table] = apply_forward(compile_ruleset(book.rulesets[table], book, context), tables[table], context)
        filtered[table] = done[table].filtered["source_key"]
    return done


@pytest.fixture(scope="module")
def estate():
    return generate("XS", 7)


@pytest.fixture(scope="module")
def mapped(book, estate) -> dict[str, Mapped]:
    return map_all(book, estate.tables)


def test_every_row_of_the_estate_has_one_fate(estate, mapped):
    assert set(mapped) == RECORDS | {table for table in TABLES if table.startswith("r_")}
    for table, fates in mapped.items():
        counted = fates.crosswalk.height + fates.deleted.height + fates.filtered.height + fates.rejected.height
        assert (table, counted) == (table, estate.tables[table].height)
        assert (table, fates.rejected.height) == (table, 0)


def test_a_chain_of_custody_keeps_its_numbers_and_its_gaps(estate, mapped):
    gaps = set(estate.defects.filter(pl.col("kind") == Defect.CUSTODY_GAP.kind)["key"])

    moved = mapped["t_mvt_scelle"].parts["transfer"].sort("evidence_id", "sequence_number")

    steps = moved.with_columns(step=pl.col("sequence_number").diff().over("evidence_id"))
    assert gaps
    assert set(steps.filter(pl.col("step") > 1)["source_key"]) == gaps & set(moved["source_key"])
    assert set(moved["evidence_id"]) <= set(mapped["t_scelle"].parts["seal"]["id"])


def test_a_seal_points_to_the_item_and_the_case_that_its_row_names(estate, mapped):
    seals = mapped["t_scelle"].parts["seal"].join(
        estate.tables["t_scelle"], left_on="source_key", right_on="id_scelle"
    )  # fmt: skip
    items = dict(mapped["t_objet"].parts["item"].select("source_key", "id").rows())
    cases = dict(mapped["t_proc"].parts["case"].select("source_key", "id").rows())

    assert seals.height > 5
    assert seals["item_id"].to_list() == [items[key] for key in seals["id_objet"]]
    assert seals["case_file_id"].to_list() == [cases[key] for key in seals["id_proc"]]
    assert set(seals["evidence_status_code"]) <= {None, "RETURNED", "DESTROYED", "CONFISCATED"}


def test_a_custody_keeps_its_clock_in_the_zone_of_the_department(estate, mapped):
    detained = mapped["t_gav"].parts["detention"].join(
        estate.tables["t_gav"], left_on="source_key", right_on="id_gav"
    )  # fmt: skip

    local = detained["started_at"].dt.convert_time_zone("Europe/Paris").dt.strftime("%Y%m%d%H%M").to_list()

    assert local == (detained["dt_deb"] + detained["h_deb"]).to_list()
    assert detained["extended"].to_list() == (detained["prolong"] == "O").to_list()
    assert detained["rights_notified_text"].to_list() == detained["h_droits"].to_list()
    assert set(detained["detention_category_code"]) == {"GAV"}


def test_an_entry_of_the_logbook_needs_no_case(mapped):
    entries = mapped["t_mainc"].parts["entry"]

    assert entries["case_file_id"].null_count() > entries.height / 2
    assert entries["case_file_id"].drop_nulls().len() > 0
    assert set(entries["domain_code"]) == {"logbook"}
    assert entries["location_id"].to_list() == mapped["t_mainc"].parts["place"]["id"].to_list()


def test_a_line_of_a_code_table_keeps_its_days(estate, mapped):
    lines = mapped["r_natinf"].parts["code"].sort("code")

    assert set(lines["code_set_code"]) == {"NATINF"}
    assert set(lines["code"]) == set(estate.tables["r_natinf"]["code"])
    assert lines.filter(pl.col("code") == "7153")["valid_to"].to_list() == [date(2004, 3, 8)]
    assert lines.filter(pl.col("code") == "7151")["valid_to"].to_list() == [None]


def test_a_filtered_case_takes_what_is_below_it_along(estate, mapped):
    filtered = {table: fates.filtered["source_key"] for table, fates in mapped.items()}
    cases, facts = estate.tables["t_proc"], estate.tables["t_fait"]
    live_facts = facts.filter(pl.col("top_supp") != "O")

    below = live_facts.filter(pl.col("id_proc").is_in(filtered["t_proc"].implode()))

    assert 0.05 < len(filtered["t_proc"]) / cases.height < 0.20
    assert len(filtered["t_fait"]) == below.height > 0
    assert len(filtered["t_implic"]) > 0
    for table in ("t_piece", "t_scelle", "t_mvt_scelle", "t_gav"):
        assert (table, len(filtered[table]) > 0) == (table, True)


def _conforms(value: object, schema: dict, root: dict) -> bool:
    """Check the keywords our schemas use, on YAML read as plain values."""
    if "$ref" in schema:
        return _conforms(value, root["$defs"][schema["$ref"].rsplit("/", 1)[1]], root)
    if "anyOf" in schema:
        return any(_conforms(value, one, root) for one in schema["anyOf"])
    match schema.get("type"):
        case "object":
            properties, more = schema.get("properties", {}), schema.get("additionalProperties", True)
            return (
                isinstance(value, dict)
                and set(schema.get("required", ())) <= set(value)
                and len(value) >= schema.get("minProperties", 0)
                and all(
                    _conforms(one, properties[name], root)
                    if name in properties
                    else more is True or (isinstance(more, dict) and _conforms(one, more, root))
                    for name, one in value.items()
                )
            )
        case "array":
            enough = isinstance(value, list) and len(value) >= schema.get("minItems", 0)
            return enough and all(_conforms(one, schema["items"], root) for one in value)
        case "string":
            return (
                isinstance(value, str)
                and len(value) >= schema.get("minLength", 0)
                and re.search(schema.get("pattern", ""), value) is not None
                and value in schema.get("enum", [value])
            )
        case "boolean":
            return isinstance(value, bool)
        case "null":
            return value is None
        case other:
            raise AssertionError(f"keyword not known to this test: {other}")


def _as_editors_read(path: Path) -> object:
    """Read YAML 1.2, which has no dates."""

    class Loader(yaml.SafeLoader):
        pass

    Loader.yaml_implicit_resolvers = {
        first: [one for one in resolvers if one[0] != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    return yaml.load(path.read_text(encoding="utf-8"), Loader=Loader)


@pytest.mark.parametrize("name", sorted(path.name for path in ORION.glob("*.yaml")))
def test_the_published_schema_accepts_every_shipped_file(name: str):
    schema = code_maps_schema() if name == "code_maps.yaml" else ruleset_schema()

    assert _conforms(_as_editors_read(ORION / name), schema, schema)


def test_the_published_schema_refuses_what_the_reader_refuses():
    schema = ruleset_schema()
    good = _as_editors_read(ORION / "t_tel.yaml")

    assert isinstance(good, dict)
    assert not _conforms({**good, "residue_onli": {}}, schema, schema)
    assert not _conforms({**good, "rule": "T_TEL"}, schema, schema)
    assert not _conforms({name: one for name, one in good.items() if name != "columns"}, schema, schema)
    assert not _conforms({**good, "drop": {"religion": {}}}, schema, schema)


def test_map_lint_says_the_digest_of_accepted_rules(book):
    shown = CliRunner().invoke(map_app, ["lint", str(ORION)])
    as_json = CliRunner().invoke(map_app, ["lint", str(ORION), "--json"])

    assert (shown.exit_code, as_json.exit_code) == (0, 0)
    assert f"OK  40 tables, 0 warnings, digest {book.digest[:12]}" in shown.output
    told = json.loads(as_json.output)
    assert (told["diagnostics"], told["digest"]) == ([], book.digest)
    assert {one["department"] for one in told["deviations"]} == {"31", "67"}


def test_map_lint_refuses_wrong_rules_with_exit_code_two(tmp_path: Path):
    folder = write_rules(tmp_path / "rules", PERSONNE.replace("flag3, top_supp]", "flag3, note, top_supp]"))

    shown = CliRunner().invoke(map_app, ["lint", str(folder)])
    as_json = CliRunner().invoke(map_app, ["lint", str(folder), "--json"])

    assert (shown.exit_code, as_json.exit_code) == (2, 2)
    assert f"{folder / 't_personne.yaml'}:3:60: error: column note has no fate" in shown.output
    assert [one["column"] for one in json.loads(as_json.output)["diagnostics"]] == [60]


def test_map_closure_prints_the_shared_tables():
    shown = CliRunner().invoke(map_app, ["closure", "38", str(ORION)])
    as_json = CliRunner().invoke(map_app, ["closure", "38", str(ORION), "--json"])

    assert re.search(r"38\.cases\+vehicles +t_personne", shown.output)
    assert json.loads(as_json.output)[0]["shared_tables"] == ["t_personne"]


def test_map_coverage_shows_the_fate_of_each_column():
    shown = CliRunner().invoke(map_app, ["coverage", str(ORION)])
    as_json = CliRunner().invoke(map_app, ["coverage", str(ORION), "--json"])

    assert re.search(r"t_personne +religion +dropped +T_PERSONNE@1 +LED art\. 10, not necessary", shown.output)
    assert len(json.loads(as_json.output)) == sum(len(legacy_tables()[table]) for table in TABLES)


def test_map_schema_prints_the_schema_of_a_rule_file():
    shown = CliRunner().invoke(map_app, ["schema", "--json"])

    assert json.loads(shown.output) == ruleset_schema()
