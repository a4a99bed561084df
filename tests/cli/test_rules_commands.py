"""`banyan map` as people and machines call it: overlays, contract, explain, diff, docs, test, schema."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typer.testing import CliRunner

import mappings
from banyan.errors import RulesetError, UsageError
from cli.rules import map_app
from mappings.schema import SCHEMAS
from tests.mappings.rule_files import write_rules
from tests.mappings.test_overlays import OVERLAY
from tests.mappings.test_overlays import write as write_overlay

LASTING = OVERLAY.replace("2027-06-30", "2099-06-30")
ORION = Path(mappings.__file__).parent / "rules" / "orion"


def call(*arguments: str, code: int = 0) -> str:
    """Run a command of `banyan map`; give what it writes."""
    done = CliRunner().invoke(map_app, list(arguments))
    assert done.exit_code == code, done.output
    return done.output


def told(*arguments: str, code: int = 0):
    return json.loads(call(*arguments, "--json", code=code))


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    return write_overlay(tmp_path / "rules", LASTING)


def test_lint_counts_the_deviations_of_every_department(rules: Path):
    found = told("lint", str(rules))
    shown = call("lint", str(rules))

    owner = "groupement 31, bureau des systèmes"
    assert found["deviations"] == [
        {"department": "31", "of": "t_personne", "things": 3, "until": "2099-06-30", "owner": owner},
        {"department": "31", "of": "SEX_31", "things": 2, "until": "2099-06-30", "owner": owner},
    ]
    assert re.search(r"31 +t_personne +3 +2099-06-30 +groupement 31", shown)
    assert told("lint", str(rules), "-d", "38")["deviations"] == []


def test_lint_refuses_an_overlay_after_its_last_day(rules: Path):
    rules.joinpath("overlays", "31.yaml").write_text(OVERLAY.replace("2027-06-30", "2021-06-30"), encoding="utf-8")

    shown = call("lint", str(rules), code=2)

    assert f"{rules}/overlays/31.yaml:6:12: error: the deviation of t_personne in 31 ended on 2021-06-30" in shown
    assert "ask groupement 31, bureau des systèmes: remove it, or agree on a new day" in shown


def test_coverage_of_a_department_shows_its_own_columns_and_counts_what_deviates(rules: Path):
    shown = call("coverage", str(rules), "-d", "31")

    assert re.search(r"t_personne +num_carte +residue_only +T_PERSONNE@1\+31", shown)
    assert "5 things are said otherwise in 31, in 2 deviations" in shown
    assert "num_carte" not in call("coverage", str(rules))


def test_the_closure_names_its_canonical_tables_and_those_that_others_fill_too(rules: Path):
    shown = call("closure", "38", str(ORION))
    found = {one["name"]: one for one in told("closure", "38", str(ORION))}

    joined = found["38.cases+vehicles"]
    assert joined["shared_tables"] == ["t_personne"]
    assert {"person_identity", "vehicle", "case_file"} <= set(joined["canonical_tables"])
    assert "incident" in joined["canonical_tables"]
    assert "incident" in found["38.logbook"]["canonical_tables"]
    assert re.search("filled by several closures, each row with its domain: .*incident", shown)


def test_the_contract_speaks_french_first_and_english_when_asked(rules: Path):
    french, english = call("contract", str(ORION)), call("contract", str(ORION), "--lang", "en")

    assert french.startswith("CONTRAT DE COEXISTENCE  ORION")
    assert "« surname, surname_use » : ensemble, avec ce qui les sépare, 40 caractères au plus." in french
    assert "« sex_code » : seulement F, M. Un autre code n'a pas d'équivalent dans l'ancien système." in french
    assert "occupation_text: 40 characters at most." in english
    with pytest.raises(UsageError, match="no language de"):
        CliRunner().invoke(map_app, ["contract", "--lang", "de"], catch_exceptions=False)


def test_the_contract_as_data_holds_checks_that_the_target_can_enforce():
    terms = told("contract", str(ORION), "--encoding", "cp850")["terms"]

    by_column = {(one["canonical_table"], tuple(one["columns"]), one["check"]): one for one in terms}
    width = by_column["case_file", ("note_text",), "max_length"]
    assert (width["limit"], width["degraded"], width["legacy_columns"]) == (250, "TOO_LONG", ["observ"])
    codes = by_column["disposition", ("disposition_code",), "allowed_values"]
    assert codes["allowed"][0] == "ACQUITTAL"
    assert by_column["case_file", ("note_text",), "alphabet"]["allowed"] == ["cp850"]
    assert set(width["sentence"]) == {"fr", "en"}


def test_explain_says_in_words_what_becomes_of_a_column():
    shown = call("explain", "t_personne", str(ORION))

    assert "is not carried over, not even held: LED art. 10, not necessary" in shown
    assert "then through the code map SEX (4 codes; any other is refused)" in shown
    with pytest.raises(UsageError, match="no rule is about t_person;"):
        CliRunner().invoke(map_app, ["explain", "t_person", str(ORION)], catch_exceptions=False)


def test_the_difference_of_two_departments_is_what_the_overlay_says(rules: Path):
    changes = told("diff", str(rules), "-d", "38", "-d", "31")

    assert {(one["subject"], one["place"], one["kind"]) for one in changes} == {
        ("t_personne", "rule", "changed"),
        ("t_personne", "columns", "changed"),
        ("t_personne", "identity.sex_code", "changed"),
        ("t_personne", "phone.value_raw", "changed"),
        ("t_personne", "residue_only num_carte", "added"),
        ("code map SEX_31", "code 'H'", "added"),
        ("code map SEX_31", "code 'F'", "added"),
        ("code map SEX_31", "written back for M", "added"),
        ("code map SEX_31", "written back for F", "added"),
    }
    assert call("diff", str(rules), "-d", "38", "-d", "48").strip() == "no difference in what the rules mean"


def test_the_difference_of_two_files_names_the_field_and_not_the_layout(tmp_path: Path):
    from tests.mappings.rule_files import PERSONNE

    before = write_rules(tmp_path / "before") / "t_personne.yaml"
    after = write_rules(tmp_path / "after", "# a remark\n" + PERSONNE.replace("max: 40", "max: 41")) / "t_personne.yaml"

    changes = told("diff", str(before), str(after))

    assert [(one["place"], one["kind"]) for one in changes] == [("identity.surname", "changed")]
    assert "max: 40" in changes[0]["before"]
    assert "max: 41" in changes[0]["after"]
    with pytest.raises(UsageError, match="two readings are compared"):
        CliRunner().invoke(map_app, ["diff", str(before)], catch_exceptions=False)


class _Page(HTMLParser):
    """What a page asks for: tags, and addresses in their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [str(value) for name, value in attrs if name in ("src", "href", "action")]


def test_the_page_of_all_rules_asks_nothing_of_any_network_and_executes_nothing(tmp_path: Path):
    hostile = '<script>alert(1)</script> | =HYPERLINK("http://x")'
    folder = write_rules(tmp_path / "rules")
    path = folder / "t_personne.yaml"
    path.write_text(path.read_text().replace("unknown since 1997", hostile.replace('"', "'")), encoding="utf-8")
    page = tmp_path / "rules.html"

    shown = call("docs", str(folder), "--output", str(page))

    text, read = page.read_text(encoding="utf-8"), _Page()
    read.feed(text)
    assert "OK" in shown
    assert not read.tags & {"script", "img", "link", "iframe", "object"}
    assert all(address.startswith("#") for address in read.addresses)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "<script>" not in text
    markdown = call("docs", str(folder), "--format", "md")
    assert "\\<script\\>alert(1)\\</script\\> \\|" in markdown


def test_the_lineage_of_each_column_is_data():
    lineage = told("docs", str(ORION))["lineage"]

    def steps(table: str, column: str) -> set[tuple[str, str, str, bool]]:
        return {
            (one["canonical_table"], one["canonical_column"], one["way"], one["is_written_back"])
            for one in lineage
            if (one["table"], one["column"]) == (table, column)
        }

    assert steps("t_personne", "nom") == {
        ("person_identity", "surname", "read", True), ("person_identity", "surname_use", "read", True),
    }  # fmt: skip
    assert steps("t_personne", "tel") == {
        ("contact_means", "value_raw", "read", True),
        ("contact_means", "value_normalised", "derived", False),
        ("contact_means", "country_code", "derived", False),
        ("contact_means", "", "condition", False),
    }
    assert ("incident", "case_file_id", "reference", False) in steps("t_fait", "id_proc")
    assert ("offense", "case_file_id", "reference", True) in steps("t_fait", "id_proc")
    assert ("person_identity", "id", "key", False) in steps("t_personne", "id_pers")
    assert steps("t_personne", "religion") == set()


def test_the_golden_records_of_orion_hold():
    run = told("test", str(ORION))

    assert run["holds"]
    assert {one["table"] for one in run["results"]} >= {"t_personne", "t_implic"}
    assert all(not one["differences"] for one in run["results"])


def test_a_golden_record_that_does_not_hold_names_the_column_and_both_values(tmp_path: Path):
    folder = tmp_path / "orion"
    shutil.copytree(ORION, folder)
    rule = folder / "t_personne.yaml"
    rule.write_text(rule.read_text().replace("lens: name.given(40)", "lens: text.max(12)"), encoding="utf-8")

    shown = call("test", str(folder), "--table", "t_personne")
    rule.write_text(rule.read_text().replace("{from: sexe, lens: text.padded(1)", "{from: sexe, lens: text.padded(2)"))
    broken = call("test", str(folder), "--table", "t_personne", code=3)

    assert "golden records hold" in shown
    assert "NO  t_personne: a clean person with a telephone and no vehicle" in broken
    assert "residue: expected , found sexe" in broken
    assert f"{folder}/golden/t_personne.yaml:" in broken


def test_rules_without_golden_records_are_told_so(rules: Path):
    with pytest.raises(UsageError, match="there is no golden record"):
        CliRunner().invoke(map_app, ["test", str(rules)], catch_exceptions=False)


@pytest.mark.parametrize("kind", SCHEMAS)
def test_every_kind_of_file_has_its_schema(kind: str):
    schema = json.loads(call("schema", kind))

    assert schema["$schema"].endswith("2020-12/schema")
    assert schema["additionalProperties"] is False


def test_a_wrong_overlay_refuses_the_rules_of_its_department_alone(rules: Path):
    rules.joinpath("overlays", "31.yaml").write_text(LASTING.replace("table: t_personne", "table: t_x"))

    call("coverage", str(rules), "-d", "38")
    with pytest.raises(RulesetError, match="unknown table t_x"):
        CliRunner().invoke(map_app, ["coverage", str(rules), "-d", "31"], catch_exceptions=False)
    call("lint", str(rules), code=2)
