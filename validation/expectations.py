"""The door to Great Expectations: one worker process that evaluates rules in PostgreSQL and answers with keys only.

Started as `python -m validation.expectations`; reads one request a line and writes one answer a line, in JSON. Great
Expectations takes ten seconds to import and puts values of records into its results, exceptions and logs: it is
imported here only, inside functions, and nothing it says leaves this process but counts and keys.

It is asked twice (measured: a quarter of the cost of once): yes or no on all rules of a table in two scans, then the
keys for those that did not hold. A rule that was declared and is not answered for is an error of the caller's level.
"""

import json
import logging
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TextIO

import psycopg
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from banyan.errors import BanyanError
from store.canonical import CANONICAL
from store.postgres import open_engine, transaction
from store.tables import DEPARTMENT
from validation.suites import find_missing_arguments

KEY = "key"
_DEPARTMENT = re.compile(r"[0-9A-Z]{2,6}")
_TIME_ZONE = re.compile(r"[A-Za-z]+(/[A-Za-z_+-]+)*")
_DRIVER_ERROR = re.compile(r"psycopg\.errors\.(\w+)")
_SESSION = "-c timezone=UTC -c default_transaction_read_only=on -c statement_timeout=30min"
_ROWS = "unexpected_rows_expectation"
_QUERY = "unexpected_rows_query"

Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Asked:
    """One request: where, for which department, and how many keys a rule may name."""

    url: str = field(repr=False)
    department_code: str
    key_bound: int


class _Unanswerable(Exception):
    """A rule that cannot be evaluated, with a cause that holds no value."""


def serve(requests: TextIO, answers: TextIO) -> None:
    """Answer requests until there are no more; what goes wrong with a rule is an answer, never a silence."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    logging.disable(logging.CRITICAL)
    import great_expectations

    _say(answers, {"ready": great_expectations.__version__})
    for line in requests:
        request = json.loads(line)
        asked = _Asked(request["url"], request["department_code"], request["key_bound"])
        for suite in request["suites"]:
            _say(answers, _answer(asked, suite))
        _say(answers, {"done": len(request["suites"])})


def _say(answers: TextIO, answer: Answer) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


def _answer(asked: _Asked, suite: dict[str, Any]) -> Answer:
    answer: Answer = {"suite": suite["name"], "rows": 0, "rules": [], "cause": ""}
    try:
        answer["rows"] = _count_rows(asked, suite["table"])
        answer["rules"] = list(_evaluate(asked, suite))
    except _Unanswerable as error:
        answer["cause"] = str(error)
    except BanyanError as error:
        answer["cause"] = error.message
    except Exception as error:  # noqa: BLE001 - the boundary of the worker: what the library raises is an answer
        answer["cause"] = _without_values(error)
    return answer


def _count_rows(asked: _Asked, table: str) -> int:
    if not _DEPARTMENT.fullmatch(asked.department_code):
        raise _Unanswerable("the department code is not 2 to 6 digits and capital letters")
    if table not in CANONICAL:
        raise _Unanswerable(f"there is no canonical table {table}")
    records = CANONICAL[table]
    statement = sa.select(sa.func.count()).where(records.c.department_code == asked.department_code)
    with transaction(open_engine(asked.url, pool_size=0)) as connection:
        return int(connection.scalar(statement.select_from(records)) or 0)


def _evaluate(asked: _Asked, suite: dict[str, Any]) -> Iterator[Answer]:
    import great_expectations as gx

    rules: dict[str, dict[str, Any]] = {}
    zone = _time_zone(asked) if "{time_zone}" in json.dumps(suite["rules"]) else ""
    for rule in suite["rules"]:
        configuration = _configuration(rule, asked.department_code, zone)
        try:
            _check_loads(configuration)
            rules[rule["id"]] = configuration
        except _Unanswerable as error:
            yield _error(rule["id"], str(error)) | {"loaded": False}
    if not rules:
        return
    context, batches = _open_table(asked, suite)
    loaded = context.suites.add(gx.ExpectationSuite(name=suite["name"], expectations=list(rules.values())))
    definition = context.validation_definitions.add(
        gx.ValidationDefinition(name=suite["name"], data=batches, suite=loaded)
    )
    expectations = {each.meta["rule"]: each for each in loaded.expectations}
    look = _SecondLook(batches.get_batch(), definition, asked.key_bound)
    for first in definition.run(result_format="BOOLEAN_ONLY").results:
        rule_id = first.expectation_config.meta["rule"]
        if first.success is True and not _raised(first.exception_info):
            yield _verdict(rule_id, "PASS")
        else:
            yield look.at(rule_id, expectations[rule_id])


def _time_zone(asked: _Asked) -> str:
    """Read at which clock the department lives; its records are instants, and some rules are about hours."""
    statement = sa.select(DEPARTMENT.c.time_zone).where(DEPARTMENT.c.department_code == asked.department_code)
    with transaction(open_engine(asked.url, pool_size=0)) as connection:
        found = connection.scalar(statement)
    if found is None or not _TIME_ZONE.fullmatch(found):
        raise _Unanswerable("the department has no time zone")
    return str(found)


def _configuration(rule: dict[str, Any], department_code: str, time_zone: str) -> dict[str, Any]:
    arguments = dict(rule["kwargs"])
    if isinstance(arguments.get(_QUERY), str):
        # both were checked: nothing can be bound in the query of an expectation
        query = arguments[_QUERY].replace("{department}", f"'{department_code}'")
        arguments[_QUERY] = query.replace("{time_zone}", f"'{time_zone}'")
    return {"type": rule["type"], "kwargs": arguments, "meta": {"rule": rule["id"]}}


def _check_loads(configuration: dict[str, Any]) -> None:
    """Refuse what the library would drop with a line in its log, or could not name rows for."""
    import great_expectations as gx
    from great_expectations.expectations.expectation import ColumnMapExpectation, ColumnPairMapExpectation

    missing = find_missing_arguments(configuration["type"], configuration["kwargs"])
    if missing or "mostly" in configuration["kwargs"]:
        raise _Unanswerable(f"arguments are missing ({missing})" if missing else "mostly lets rows break the rule")
    try:
        loaded = gx.ExpectationSuite(name="one", expectations=[configuration]).expectations
    except Exception as error:  # noqa: BLE001 - whatever it raises, the rule cannot be evaluated
        raise _Unanswerable(f"the arguments are refused ({type(error).__name__})") from None
    if len(loaded) != 1:
        raise _Unanswerable(f"there is no expectation {configuration['type']}")
    if not isinstance(
        loaded[0], (ColumnMapExpectation, ColumnPairMapExpectation, gx.expectations.UnexpectedRowsExpectation)
    ):
        raise _Unanswerable(f"{configuration['type']} does not name the rows that break it")


def _open_table(asked: _Asked, suite: dict[str, Any]) -> tuple[Any, Any]:
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    url = make_url(asked.url).update_query_dict({"options": _SESSION, "application_name": "banyan"})
    source = context.data_sources.add_sql("store", connection_string=url.render_as_string(hide_password=False))
    # both names were checked: a table of the canonical model and a department code
    records = (
        f"select id::text as {KEY}, * from justice.{suite['table']} where department_code = '{asked.department_code}'"  # noqa: S608
    )
    ask_names_only(source.get_execution_engine().engine, records)
    return context, source.add_query_asset(suite["name"], query=records).add_batch_definition_whole_table("all")


def ask_names_only(engine: sa.Engine, records: str) -> None:
    """Have the query of the records answered without a record where it is run as it stands.

    The library runs it once, whole, to learn the names of its columns: every record of the table would come here.
    """

    @sa.event.listens_for(engine, "before_cursor_execute", retval=True)
    def answer(*call: Any) -> tuple[str, Any]:  # noqa: ANN401 - as the event is called
        _, _, statement, parameters, _, _ = call
        return (f"{statement} limit 0" if statement.strip() == records else statement), parameters


@dataclass(frozen=True, slots=True)
class _SecondLook:
    """Names the rows that break a rule which did not hold at first sight."""

    batch: Any
    definition: Any
    key_bound: int

    def at(self, rule_id: str, expectation: Any) -> Answer:  # noqa: ANN401 - the library's own type
        """Evaluate one rule alone, with its keys; what it raises is an error, never a broken rule."""
        try:
            if expectation.expectation_type == _ROWS:
                failing, keys = self._by_query(expectation)
            else:
                failing, keys = self._by_column(expectation)
        except _Unanswerable as error:
            return _error(rule_id, str(error))
        except Exception as error:  # noqa: BLE001 - the message may hold values of a record
            return _error(rule_id, _without_values(error))
        if not failing:
            return _verdict(rule_id, "PASS")  # repaired between the two looks
        return _verdict(rule_id, "FAIL", failing=failing, keys=keys, truncated=failing > len(keys))

    def _by_column(self, expectation: Any) -> tuple[int, list[str]]:  # noqa: ANN401
        found = self.batch.validate(
            expectation,
            result_format={
                "result_format": "COMPLETE",
                "unexpected_index_column_names": [KEY],
                "exclude_unexpected_values": True,
                "partial_unexpected_count": self.key_bound,
            },
        )
        if _raised(found.exception_info):
            raise _Unanswerable(_cause(json.dumps(found.exception_info, default=str)))
        if found.success:
            return 0, []
        listed = found.result.get("unexpected_index_list") or []
        keys = [key for entry in listed for key in (entry[KEY] if isinstance(entry[KEY], list) else [entry[KEY]])]
        failing = int(found.result.get("unexpected_count") or 0)
        if not failing or not keys:
            raise _Unanswerable("the rule is broken but no row is named")
        return failing, sorted(keys)[: self.key_bound]

    def _by_query(self, expectation: Any) -> tuple[int, list[str]]:  # noqa: ANN401
        bounded = type(expectation)(
            unexpected_rows_query=f"select found.{KEY}, count(*) over () as failing"  # noqa: S608 - of a checked suite
            f" from ({expectation.unexpected_rows_query}) as found order by 1 limit {self.key_bound}"
        )
        rows = self.definition.get_unexpected_rows(bounded)
        return (int(rows[0]["failing"]), [row[KEY] for row in rows]) if rows else (0, [])


def _verdict(
    rule_id: str, state: str, *, failing: int = 0, keys: list[str] | None = None, truncated: bool = False
) -> Answer:
    counted = {"failing": failing, "keys": keys or [], "truncated": truncated}
    return {"id": rule_id, "state": state, "loaded": True, "cause": "", **counted}


def _error(rule_id: str, cause: str) -> Answer:
    return _verdict(rule_id, "ERROR") | {"cause": cause}


def _raised(exception_info: dict[str, Any]) -> bool:
    """Tell whether an expectation raised; the library says it once, or once for each of its measurements."""
    said = [exception_info, *(each for each in exception_info.values() if isinstance(each, dict))]
    return any(each.get("raised_exception") for each in said)


def _without_values(error: Exception) -> str:
    return _cause(str(error), type(error).__name__)


def _cause(message: str, otherwise: str = "") -> str:
    """Give the driver's name for what went wrong; the rest of a message may hold values of a record."""
    for name in _DRIVER_ERROR.findall(message):
        if isinstance(getattr(psycopg.errors, name, None), type):
            return f"the database refused the rule ({name})"
    return f"the expectation raised {otherwise}" if otherwise else "the expectation raised an exception"


if __name__ == "__main__":
    private = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints is not an answer
    serve(sys.stdin, private)
