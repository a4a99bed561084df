"""The rungs of rights as text for a client of the server: what each gives, its statements, and its undo as remarks."""

from collections.abc import Iterable, Sequence

from banyan.departments import SourceRef
from cli.grants import RungPlan
from cli.tables import print_line


def print_plans(plans: Iterable[tuple[SourceRef, RungPlan]]) -> None:
    """Print rungs so that the whole text can be given to a client: it grants, and undoes nothing."""
    for reference, plan in plans:
        print_line(f"-- {reference} {plan.rung.value}: works: {plan.works}")
        print_line(f"-- cannot: {plan.cannot or '-'} · risk: {plan.risk}")
        print_line("-- GRANT")
        for line in printed_lines(plan.grant):
            print_line(line)
        print_line("-- UNDO")
        for line in printed_lines(plan.undo):
            print_line(f"-- {line}")
        print_line()


def printed_lines(statements: Sequence[str]) -> list[str]:
    """Write statements as the lines a client reads, each ended."""
    return [line for text in statements for line in _ended(text).split("\n")]


def _ended(text: str) -> str:
    """End a statement, before the remark behind it; a text that is all remarks, or ends itself, stays as it is."""
    if text.endswith("delimiter ;") or all(line.startswith("--") for line in text.split("\n")):
        return text
    if "\n" in text:  # what stands in the body of a routine is no remark behind it
        return f"{text};"
    statement, remark, told = text.partition("   -- ")
    return f"{statement};{remark}{told}"
