"""L2: do the rules hold? Judges the answers of the worker; what is not answered for, once and whole, is an error.

A rule that breaks blocks the level only when its severity is BLOCK: the others are counted and named, since an old
base is never clean. Declared, loaded and evaluated rules are the same number, or the level is in ERROR.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from enum import StrEnum

from sqlalchemy.engine import URL

from banyan.errors import UsageError
from banyan.findings import Finding, FindingKind, LevelResult, LevelState, Severity
from validation.own_suites import say_weights
from validation.rules_worker import KEY_BOUND, RuleAnswer, RuleWorker, SuiteAnswer
from validation.suites import Rule, Suite
from validation.text import Text


class RuleState(StrEnum):
    """Whether a rule holds; ERROR is not knowing, and is never taken for an answer."""

    PASS = "PASS"
    FAIL = "FAIL"
    ERROR = "ERROR"


@dataclass(frozen=True, slots=True)
class RuleResult:
    """One rule on the records of a department: how many break it, and which; `truncated` when not all are named."""

    rule_id: str
    table: str
    sentence: Text
    severity: Severity
    state: RuleState
    failing: int = 0
    keys: tuple[str, ...] = field(default=(), repr=False)
    truncated: bool = False
    cause: str = ""
    loaded: bool = True


@dataclass(frozen=True, slots=True)
class RulesResult:
    """The level, each rule in the order of its suite, and the rows each table had."""

    level: LevelResult
    rules: tuple[RuleResult, ...]
    rows: dict[str, int]

    def rule(self, rule_id: str) -> RuleResult:
        """Give the result of one rule."""
        return next(rule for rule in self.rules if rule.rule_id == rule_id)


def run_rules(
    url: str | URL,
    department_code: str,
    suites: Sequence[Suite],
    *,
    worker: RuleWorker | None = None,
    key_bound: int = KEY_BOUND,
) -> RulesResult:
    """Evaluate suites on the records of a department, in one worker process; reads only.

    The role of the URL must read schema justice. A worker started earlier saves its ten seconds.
    """
    if key_bound < 1:
        raise UsageError("a rule names at least one key; nothing was evaluated", key_bound=key_bound)
    with ExitStack() as stack:
        asked = worker or stack.enter_context(RuleWorker())
        answers = asked.ask(url, department_code, suites, key_bound=key_bound)
        return judge_rules(suites, answers, silence=asked.why_silent())


def judge_rules(suites: Sequence[Suite], answers: Sequence[SuiteAnswer], *, silence: str = "") -> RulesResult:
    """Put answers beside what was declared: a rule without exactly one answer, or an empty suite, is an ERROR."""
    by_suite: dict[str, list[SuiteAnswer]] = {}
    for answer in answers:
        by_suite.setdefault(answer.suite, []).append(answer)
    rules: list[RuleResult] = []
    refusals: list[str] = [] if suites else ["no suite was given"]
    twice = [name for name, times in Counter(suite.name for suite in suites).items() if times > 1]
    refusals += [f"suite {name} is given twice" for name in twice]
    rows: dict[str, int] = {}
    for suite in suites:
        found = by_suite.get(suite.name, [])
        answer = (
            found[0] if len(found) == 1 else SuiteAnswer(suite.name, 0, (), silence or "the suite was not answered")
        )
        rows[suite.table] = answer.rows
        if not suite.rules:
            refusals.append(f"suite {suite.name} has no rule")
        declared = {rule.rule_id for rule in suite.rules}
        refusals += [f"nobody declared {one.rule_id}" for one in answer.rules if one.rule_id not in declared]
        rules += _judge_suite(suite, answer)
    return RulesResult(_level(suites, rules, refusals), tuple(rules), rows)


def _judge_suite(suite: Suite, answer: SuiteAnswer) -> Iterator[RuleResult]:
    short = answer.rows < suite.row_floor
    for rule in suite.rules:
        said = [each for each in answer.rules if each.rule_id == rule.rule_id]
        if answer.cause:
            yield _unknown(suite, rule, answer.cause)
        elif short:
            yield _unknown(suite, rule, f"the table has {answer.rows} rows, fewer than its floor {suite.row_floor}")
        elif len(said) != 1 or said[0].state not in list(RuleState):
            yield _unknown(suite, rule, f"the rule was answered {len(said)} times")
        else:
            yield _known(suite, rule, said[0])


def _unknown(suite: Suite, rule: Rule, cause: str) -> RuleResult:
    return RuleResult(
        rule.rule_id, suite.table, rule.sentence, rule.severity, RuleState.ERROR, cause=cause, loaded=False
    )


def _known(suite: Suite, rule: Rule, answer: RuleAnswer) -> RuleResult:
    return RuleResult(
        rule_id=rule.rule_id,
        table=suite.table,
        sentence=rule.sentence,
        severity=rule.severity,
        state=RuleState(answer.state),
        failing=answer.failing,
        keys=answer.keys,
        truncated=answer.truncated,
        cause=answer.cause,
        loaded=answer.loaded,
    )


def _level(suites: Sequence[Suite], rules: Sequence[RuleResult], refusals: Sequence[str]) -> LevelResult:
    failed = [rule for rule in rules if rule.state is RuleState.FAIL]
    errors = [rule for rule in rules if rule.state is RuleState.ERROR]
    broken = Counter(rule.severity for rule in failed)
    if errors or refusals:
        state = LevelState.ERROR
    elif broken[Severity.BLOCK]:
        state = LevelState.FAIL
    else:
        state = LevelState.PASS
    figures: dict[str, int | str | bool] = {
        "declared": sum(len(suite.rules) for suite in suites),
        "loaded": sum(rule.loaded for rule in rules),
        "evaluated": sum(rule.state is not RuleState.ERROR for rule in rules),
        "tables": len(suites),
        "errors": len(errors) + len(refusals),
        "truncated": any(rule.truncated for rule in failed),
    }
    for severity in Severity:
        figures[f"{severity.value.lower()}_rules"] = broken[severity]
        figures[f"{severity.value.lower()}_rows"] = sum(rule.failing for rule in failed if rule.severity is severity)
    figures["blocking"] = figures["block_rows"]
    if weights := say_weights(suites):
        figures["weighed"] = sum(len(suite.weighed) for suite in suites)
    said = "; ".join(filter(None, (_sentence(figures, refusals), weights)))
    return LevelResult("L2", state, said, figures, tuple(_findings(failed)))


def _sentence(figures: dict[str, int | str | bool], refusals: Sequence[str]) -> str:
    said = (
        f"{figures['declared']} rules declared, {figures['evaluated']} evaluated; broken:"
        f" {figures['block_rules']} that block, {figures['quarantine_rules']} to repair,"
        f" {figures['warn_rules']} to know"
    )
    if figures["errors"]:
        said += f"; {figures['errors']} could not be answered"
    return "; ".join((said, *refusals))


def _findings(failed: Sequence[RuleResult]) -> Iterator[Finding]:
    for rule in failed:
        for key in rule.keys:
            yield Finding(FindingKind.RULE_BROKEN, rule.severity, rule.table, key, cause=rule.rule_id)
