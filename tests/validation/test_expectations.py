"""L2 on a real store: rules evaluated by Great Expectations in its worker, and each way it would fail open."""

import json
import re
import subprocess
import sys
import uuid
from collections import Counter
from dataclasses import asdict, replace

import pytest
import sqlalchemy as sa
from loaded import Loaded, load_estate
from stores import CLOSURE, ISERE, make_store, own, store_template

from banyan.departments import Department
from banyan.errors import UsageError
from banyan.findings import FindingKind, LevelState, Severity
from store.install import add_department
from store.postgres import open_engine, transaction
from validation.expectations import ask_names_only
from validation.level_two import RulesResult, RuleState, judge_rules, run_rules
from validation.rules_worker import RuleAnswer, RuleWorker, SuiteAnswer
from validation.suites import Rule, Suite, load_suites
from validation.text import Text

__all__ = ["make_store", "store_template"]

pytestmark = pytest.mark.server
SAID = Text("Une phrase.", "A sentence.")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
NOT_NULL, ROWS = "expect_column_values_to_not_be_null", "unexpected_rows_expectation"


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """The folder the worker works in, which is its home too."""
    return tmp_path_factory.mktemp("workplace")


@pytest.fixture(scope="module")
def worker(workplace):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(workplace)
        patch.setenv("HOME", str(workplace))
        started = RuleWorker()
    with started:
        yield started


@pytest.fixture(scope="module")
def estate(make_database, make_store) -> Loaded:
    return load_estate(make_database, make_store())


@pytest.fixture(scope="module")
def shipped(worker, estate) -> RulesResult:
    """The shipped suites on a clean load of the estate."""
    return run_rules(estate.store.url("banyan_steward"), "38", load_suites(), worker=worker)


def rule(name: str, expectation: str, severity: Severity = Severity.BLOCK, **arguments) -> Rule:
    return Rule(name, SAID, severity, "steward", expectation, arguments)


def suite(*rules: Rule, table: str = "person_identity", floor: int = 1) -> Suite:
    return Suite("one", table, floor, rules)


def query(condition: str) -> dict[str, str]:
    return {"unexpected_rows_query": f"select subselect.key from {{batch}} where {condition}"}


@pytest.fixture(scope="module")
def run(worker, estate):
    def run(*rules: Rule, table: str = "person_identity", department: str = "38", **others) -> RulesResult:
        address = estate.store.url(others.pop("role", "banyan_steward"))
        return run_rules(address, department, [suite(*rules, table=table)], worker=worker, **others)

    return run


def test_a_clean_load_breaks_no_rule_that_blocks(shipped):
    declared = sum(len(each.rules) for each in load_suites())

    assert shipped.level.level == "L2"
    assert shipped.level.state is LevelState.PASS
    assert [shipped.level.figures[name] for name in ("declared", "loaded", "evaluated")] == [declared] * 3
    assert shipped.level.figures["block_rules"] == shipped.level.figures["errors"] == 0
    assert shipped.level.figures["warn_rules"] >= 8
    assert shipped.level.figures["quarantine_rules"] >= 2
    assert len(shipped.rules) == declared


@pytest.mark.parametrize(
    ("rule_id", "table", "condition"),
    [
        ("person_identity.nationality_code_present", "person_identity", "nationality_code is null"),
        ("person_identity.surname_in_capitals", "person_identity", "surname <> upper(surname)"),
        ("contact_means.value_normalised_present", "contact_means", "value_normalised is null"),
        (
            "participation.person_identity_id_exists", "participation",
            "person_identity_id not in (select id from justice.person_identity)",
        ),
        (
            "case_file.judicial_has_person", "case_file",
            "case_category_code = 'JUDICIAL' and id not in (select case_file_id from justice.participation)",
        ),
        (
            "participation.case_file_id_exists", "participation",
            "case_file_id not in (select id from justice.case_file)",
        ),
    ],
)  # fmt: skip
def test_a_broken_rule_names_each_record_that_breaks_it(shipped, estate, rule_id, table, condition):
    expected = {key for (key,) in estate.store.run(f"select id::text from justice.{table} where {condition}")}

    found = shipped.rule(rule_id)

    assert expected
    assert found.state is RuleState.FAIL
    assert set(found.keys) == expected
    assert (found.failing, found.truncated) == (len(expected), False)


def test_each_key_is_a_finding_under_its_rule(shipped):
    failing = {each.rule_id: each.failing for each in shipped.rules if each.state is RuleState.FAIL}

    assert Counter(found.cause for found in shipped.level.findings) == failing
    assert {found.kind for found in shipped.level.findings} == {FindingKind.RULE_BROKEN}
    assert all(UUID.fullmatch(found.key) for found in shipped.level.findings)
    assert not any(found.key in repr(shipped) for found in shipped.level.findings[:50])


def test_a_broken_rule_that_blocks_fails_the_level_and_a_warning_does_not(run):
    breaks = query("subselect.surname is not null")

    blocking = run(rule("a", ROWS, Severity.BLOCK, **breaks))
    waiting = run(rule("a", ROWS, Severity.QUARANTINE, **breaks), rule("b", ROWS, Severity.WARN, **breaks))

    assert blocking.level.state is LevelState.FAIL
    assert blocking.level.figures["block_rows"] == blocking.rows["person_identity"] > 100
    assert waiting.level.state is LevelState.PASS
    assert waiting.level.figures["quarantine_rules"] == waiting.level.figures["warn_rules"] == 1


@pytest.mark.parametrize(
    ("expectation", "arguments"),
    [
        (ROWS, query("subselect.surname is not null")),
        ("expect_column_values_to_be_in_set", {"column": "origin", "value_set": ("TARGET",)}),
        ("expect_column_pair_values_a_to_be_greater_than_b", {"column_A": "origin", "column_B": "origin"}),
    ],
)
def test_a_list_of_keys_is_bounded_and_says_that_it_is_cut(run, expectation, arguments):
    found = run(rule("a", expectation, **arguments), key_bound=7)

    assert found.rules[0].failing == found.rows["person_identity"] > 7
    assert len(found.rules[0].keys) == 7
    assert found.rules[0].truncated
    assert found.level.figures["truncated"] is True


@pytest.mark.parametrize(
    ("expectation", "arguments", "cause"),
    [
        ("expect_column_values_to_not_be_nul", {"column": "surname"}, "there is no expectation"),
        (NOT_NULL, {"column": "surname", "colunm": "surname"}, "arguments are refused"),
        (NOT_NULL, {"column": "surname", "mostly": 0.1}, "mostly"),
        ("expect_column_values_to_match_regex", {"column": "surname"}, "arguments are missing"),
        ("expect_column_values_to_be_in_set", {"column": "surname", "value_set": ()}, "arguments are missing"),
        (NOT_NULL, {"column": "no_such_column"}, "raised"),
        (ROWS, query("subselect.no_such_column is null"), "UndefinedColumn"),
        (ROWS, query("subselect.surname::int > 1"), "InvalidTextRepresentation"),
        (ROWS, query("lo_create(0) > 0"), "ReadOnlySqlTransaction"),
        (ROWS, query("exists (select from mig.outbox)"), "InsufficientPrivilege"),
        (ROWS, query("subselect.surname ~ 'x{3}'"), "raised"),
        ("expect_column_values_to_match_regex", {"column": "surname", "regex": "("}, "InvalidRegularExpression"),
        ("expect_column_max_to_be_between", {"column": "birth_date", "max_value": "1800-01-01"}, "does not name"),
        ("expect_compound_columns_to_be_unique", {"column_list": ("surname", "sex_code")}, "does not name"),
        ("expect_table_row_count_to_be_between", {"min_value": 10**9}, "does not name"),
    ],
)
def test_a_rule_that_cannot_be_evaluated_is_an_error_and_spoils_no_other(run, expectation, arguments, cause):
    found = run(
        rule("before", NOT_NULL, column="id"),
        rule("wrong", expectation, **arguments),
        rule("after", "expect_column_values_to_not_match_regex", Severity.WARN, column="surname", regex="[A-Z]"),
    )

    assert [each.state for each in found.rules] == [RuleState.PASS, RuleState.ERROR, RuleState.FAIL]
    assert cause in found.rule("wrong").cause
    assert found.rule("wrong").keys == ()
    assert found.level.state is LevelState.ERROR
    assert found.level.figures["declared"] == 3
    assert found.level.figures["evaluated"] == 2


def test_a_rule_that_was_not_loaded_is_counted_as_such(run):
    found = run(rule("a", NOT_NULL, column="id"), rule("b", "expect_nothing", column="id"))

    assert [found.level.figures[name] for name in ("declared", "loaded", "evaluated")] == [2, 1, 1]


def test_two_rules_that_ask_the_same_are_both_evaluated(run):
    found = run(rule("a", NOT_NULL, column="sex_code"), rule("b", NOT_NULL, Severity.WARN, column="sex_code"))

    assert [each.state for each in found.rules] == [RuleState.FAIL] * 2
    assert found.rules[0].keys == found.rules[1].keys != ()


def test_no_rule_and_no_suite_are_errors(worker, estate, run):
    empty = run()
    none = run_rules(estate.store.url("banyan_steward"), "38", [], worker=worker)

    assert empty.level.state is LevelState.ERROR
    assert "suite one has no rule" in empty.level.sentence
    assert none.level.state is LevelState.ERROR


def test_fewer_rows_than_the_floor_prove_nothing(worker, estate, run):
    address = estate.store.url("banyan_steward")
    holds = rule("a", NOT_NULL, column="id")

    nobody = run(holds, department="75")
    many = run_rules(address, "38", [suite(holds, floor=10**6)], worker=worker)
    allowed = run_rules(address, "75", [suite(holds, floor=0)], worker=worker)

    assert (nobody.level.state, nobody.rules[0].state) == (LevelState.ERROR, RuleState.ERROR)
    assert nobody.rules[0].cause == "the table has 0 rows, fewer than its floor 1"
    assert many.level.state is LevelState.ERROR
    assert allowed.level.state is LevelState.PASS


@pytest.mark.parametrize("code", ["38' or '1'='1", "", "3", "38\n", "lower", "TOOLONG1"])
def test_a_department_code_that_is_none_reaches_no_query(run, code):
    found = run(rule("a", NOT_NULL, column="id"), department=code)

    assert found.level.state is LevelState.ERROR
    assert "department code" in found.rules[0].cause


def test_a_table_that_is_not_canonical_reaches_no_query(run):
    found = run(rule("a", NOT_NULL, column="id"), table="person_identity; drop table justice.vehicle")

    assert found.level.state is LevelState.ERROR
    assert "no canonical table" in found.rules[0].cause


def test_a_role_that_may_not_read_is_an_error(run):
    found = run(rule("a", NOT_NULL, column="id"), role="banyan_guard")

    assert found.level.state is LevelState.ERROR
    assert "42501" in found.rules[0].cause


def test_a_store_that_does_not_answer_is_an_error(worker, estate):
    nowhere = estate.store.url("banyan_steward").set(port=1)

    found = run_rules(nowhere, "38", [suite(rule("a", NOT_NULL, column="id"))], worker=worker)

    assert found.level.state is LevelState.ERROR
    assert "does not answer" in found.rules[0].cause


def test_no_value_of_a_record_leaves_the_worker(run, estate, capfd):
    values = {
        value
        for row in estate.store.run("select surname, given_names, birth_place_text from justice.person_identity")
        for value in row
        if value and len(value) > 4
    }
    found = run(
        rule("a", ROWS, **query("subselect.surname::int > 1")),
        rule("b", "expect_column_values_to_match_regex", column="surname", regex="^$"),
        rule("c", "expect_column_values_to_be_in_set", column="given_names", value_set=("nobody",)),
        rule("d", "expect_column_values_to_be_unique", column="birth_place_text"),
        rule("e", ROWS, **query("subselect.surname is not null")),
    )

    printed = capfd.readouterr()
    said = json.dumps(asdict(found), default=str) + repr(found) + printed.out + printed.err
    assert [each.state for each in found.rules] == [RuleState.ERROR, *[RuleState.FAIL] * 4]
    assert len(values) > 100
    assert not [value for value in values if value in said]
    assert all(UUID.fullmatch(key) for each in found.rules for key in each.keys)


def test_the_worker_writes_no_file(run, workplace):
    """The library's own contexts write the address of the store in clear, and results with their values."""
    run(rule("a", NOT_NULL, column="id"), rule("b", NOT_NULL, column="sex_code"))

    assert list(workplace.rglob("*")) == []


def test_a_record_of_another_department_satisfies_no_reference(worker, make_store):
    store = make_store()
    savoie = replace(
        ISERE,
        department=Department("73", "Savoie", "Europe/Paris", 1),
        closures=(replace(CLOSURE, department_code="73"),),
    )
    add_department(open_engine(store.url(), pool_size=0), savoie)
    own(store, "LEGACY")
    person, participation = uuid.uuid4(), uuid.uuid4()
    columns = "insert into justice.{} (id, department_code, domain_code, origin{}) values (%s, %s, 'cases', 'LEGACY'{})"
    store.run(columns.format("person_identity", "", ""), (person, "73"), role="banyan_forward")
    store.run(
        columns.format("participation", ", person_identity_id", ", %s"),
        (participation, "38", person),
        role="banyan_forward",
    )
    (suites,) = [each for each in load_suites() if each.table == "participation"]

    found = run_rules(store.url("banyan_steward"), "38", [suites], worker=worker)

    broken = found.rule("participation.person_identity_id_exists")
    assert (broken.state, broken.keys) == (RuleState.FAIL, (str(participation),))
    assert found.rule("participation.role_code_present").state is RuleState.FAIL
    assert found.level.state is LevelState.FAIL
    assert found.rows == {"participation": 1}


HOURS = """
insert into justice.incident (id, department_code, domain_code, origin, occurred_from, occurred_precision_code)
values (%s, '38', 'cases', 'LEGACY', %s, %s)
"""


def test_an_hour_that_a_change_of_clock_skipped_or_told_twice_is_named_at_the_clock_of_the_department(
    worker, make_store
):
    store = make_store()
    own(store, "LEGACY")
    told = {
        "skipped": (None, None),
        "unknown": (None, "UNKNOWN"),
        "first of two": ("2011-10-30 00:30+00", "MINUTE"),
        "second of two": ("2011-10-30 01:30+00", "MINUTE"),
        "a day alone": ("2011-10-30 00:30+00", "DAY"),
        "an hour before": ("2011-10-29 23:30+00", "MINUTE"),
        "an hour after": ("2011-10-30 02:30+00", "MINUTE"),
    }
    ids = {name: str(uuid.uuid4()) for name in told}
    for name, (instant, precision) in told.items():
        store.run(HOURS, (ids[name], instant, precision), role="banyan_forward")
    (incidents,) = [each for each in load_suites() if each.table == "incident"]

    at_home = run_rules(store.url("banyan_steward"), "38", [incidents], worker=worker)
    store.run("update mig.department set time_zone = 'Indian/Reunion'")
    elsewhere = run_rules(store.url("banyan_steward"), "38", [incidents], worker=worker)
    store.run("update mig.department set time_zone = 'no zone'")
    nowhere = run_rules(store.url("banyan_steward"), "38", [incidents], worker=worker)

    assert at_home.rule("incident.hour_exists").keys == (ids["skipped"],)
    assert set(at_home.rule("incident.hour_told_once").keys) == {ids["first of two"], ids["second of two"]}
    assert elsewhere.rule("incident.hour_told_once").state is RuleState.PASS
    assert nowhere.rule("incident.hour_told_once").cause == "the department has no time zone"


SHARED = """
insert into justice.case_file (id, department_code, domain_code, origin, confidentiality_code)
select gen_random_uuid(), '38', 'cases', 'LEGACY', code from unnest(array['CONFIDENTIAL', 'STANDARD']) code;
insert into justice.person_identity (id, department_code, domain_code, origin)
select gen_random_uuid(), '38', 'cases', 'LEGACY' from generate_series(1, 3);
insert into justice.participation (id, department_code, domain_code, origin, case_file_id, person_identity_id)
select gen_random_uuid(), '38', 'cases', 'LEGACY', c.id, p.id
from justice.case_file c, (select id, row_number() over (order by id) n from justice.person_identity) p
where n = 1 or (n = 2 and confidentiality_code = 'STANDARD') or (n = 3 and confidentiality_code = 'CONFIDENTIAL');
insert into justice.residence (id, department_code, domain_code, origin, person_identity_id)
select id, '38', 'cases', 'LEGACY', id from justice.person_identity
"""


def test_an_address_that_a_confidential_case_shares_with_an_ordinary_one_is_named(worker, make_store):
    store = make_store()
    own(store, "LEGACY")
    for statement in SHARED.split(";"):
        store.run(statement, role="banyan_forward")
    (residences,) = [each for each in load_suites() if each.table == "residence"]

    found = run_rules(store.url("banyan_steward"), "38", [residences], worker=worker)

    first = store.run("select id::text from justice.person_identity order by id limit 1")[0][0]
    assert found.rule("residence.restricted_address_is_not_shared").keys == (first,)


def test_a_worker_that_died_leaves_an_error():
    with RuleWorker() as dead:
        dead._process.kill()
        found = run_rules("postgresql+psycopg://x@127.0.0.1:1/x", "38", [suite(rule("a", NOT_NULL))], worker=dead)

    assert found.level.state is LevelState.ERROR
    assert found.rules[0].cause == "the process that evaluates rules ended with code -9"


def test_a_worker_ends_with_its_input():
    worker = RuleWorker()
    worker._process.stdin.close()

    assert worker._process.wait(timeout=90) == 0

    worker.close()


PASSED = RuleAnswer("a", "PASS")


@pytest.mark.parametrize(
    "answers",
    [
        [],
        [SuiteAnswer("one", 5, ())],
        [SuiteAnswer("one", 5, (PASSED, PASSED))],
        [SuiteAnswer("one", 5, (PASSED, RuleAnswer("nobody", "PASS")))],
        [SuiteAnswer("one", 5, (PASSED,), "it stopped")],
        [SuiteAnswer("one", 5, (PASSED,)), SuiteAnswer("one", 5, (PASSED,))],
        [SuiteAnswer("other", 5, (PASSED,))],
        [SuiteAnswer("one", 0, (PASSED,))],
        [SuiteAnswer("one", 5, (RuleAnswer("a", "MAYBE"),))],
        [SuiteAnswer("one", 5, (RuleAnswer("a", "ERROR", cause="x"),))],
    ],
)
def test_a_rule_without_exactly_one_answer_is_an_error(answers):
    judged = judge_rules([suite(rule("a", NOT_NULL, column="id"))], answers)

    assert judged.level.state is LevelState.ERROR


def test_one_answer_for_each_rule_is_a_pass():
    judged = judge_rules([suite(rule("a", NOT_NULL, column="id"))], [SuiteAnswer("one", 5, (PASSED,))])

    assert judged.level.state is LevelState.PASS
    assert judged.level.sentence == (
        "1 rules declared, 1 evaluated; broken: 0 that block, 0 to repair, 0 to know"
    )  # fmt: skip


def test_one_suite_given_twice_is_an_error():
    one = suite(rule("a", NOT_NULL, column="id"))

    assert judge_rules([one, one], [SuiteAnswer("one", 5, (PASSED,))]).level.state is LevelState.ERROR


def test_a_bound_of_no_key_is_refused(worker):
    with pytest.raises(UsageError, match="at least one key"):
        run_rules("postgresql://x", "38", [], worker=worker, key_bound=0)


def test_nothing_but_the_worker_imports_great_expectations():
    code = (
        "import sys, validation.level_two, validation.suites, validation.expectations, validation.gate;"
        "print(sorted(sys.modules.keys() & {'great_expectations', 'pandas', 'scipy'}))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_the_query_of_the_records_tells_its_columns_without_a_record(estate):
    records = "select id::text as key, * from justice.case_file where department_code = '38'"
    engine = open_engine(estate.store.url("banyan_steward"), pool_size=0)
    ask_names_only(engine, records)

    with transaction(engine) as connection:
        named = connection.execute(sa.text(records))
        counted = connection.scalar(sa.text(f"select count(*) from ({records}) as found"))

        assert list(named.keys())[:2] == ["key", "id"]
        assert (named.fetchall(), counted > 0) == ([], True), "only the query as it stands is asked for names alone"
