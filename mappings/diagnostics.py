"""What is wrong or doubtful in a rule file: where, what, and the suggestion to put it right."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from banyan.errors import RulesetError
from mappings.model import Mark


class DiagnosticSeverity(StrEnum):
    """An error stops the rules from being used; a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One remark about a rule file."""

    file: str
    line: int
    column: int
    severity: DiagnosticSeverity
    message: str
    suggestion: str

    @property
    def place(self) -> str:
        """Give file:line:column, as editors understand it."""
        return f"{self.file}:{self.line}:{self.column}"

    def as_error(self) -> RulesetError:
        """Give the error that refuses the rules at this place."""
        return RulesetError(
            f"{self.place}: {self.message}; no rule was used",
            hint=self.suggestion,
            file=self.file,
            line=self.line,
            column=self.column,
        )


@dataclass(slots=True)
class Diagnostics:
    """The remarks collected while rules are read, so that a person sees all of them at once."""

    found: list[Diagnostic] = field(default_factory=list)

    def refuse(self, mark: Mark, message: str, suggestion: str) -> None:
        """Add an error at a place."""
        self._add(mark, DiagnosticSeverity.ERROR, message, suggestion)

    def warn(self, mark: Mark, message: str, suggestion: str) -> None:
        """Add a warning at a place."""
        self._add(mark, DiagnosticSeverity.WARNING, message, suggestion)

    def _add(self, mark: Mark, severity: DiagnosticSeverity, message: str, suggestion: str) -> None:
        self.found.append(Diagnostic(mark.file, mark.line, mark.column, severity, message, suggestion))

    @property
    def has_errors(self) -> bool:
        """Tell whether the rules must be refused."""
        return any(one.severity is DiagnosticSeverity.ERROR for one in self.found)

    def in_order(self) -> tuple[Diagnostic, ...]:
        """Give the remarks by place."""
        return tuple(sorted(self.found, key=lambda one: (one.file, one.line, one.column, one.message)))


def suggest(word: str, known: Iterable[str], *, what: str) -> str:
    """Say which known word was probably meant, or which ones exist."""
    words = sorted(known)
    close = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    if not close:
        folded = {one.lower(): one for one in words}
        close = [folded[one] for one in difflib.get_close_matches(word.lower(), folded, n=1, cutoff=0.6)]
    if close:
        return f"did you mean {close[0]}?"
    if not words:
        return f"there is no {what}"
    return f"known {what}: {', '.join(words)}"
