"""The mapping language as values: what a ruleset says once its YAML has been read and checked.

Reading rules of this module, binding for every reader of it:

- A raw value is the text projection of a legacy column, or null.
- Conditions read null as the empty text and ignore trailing blanks on both sides: `tel != ''` is false for
  null and for blanks; `starts` means that the trimmed value begins with the trimmed text.
- A field applies its lens first, then its code map. Without a lens the text goes through verbatim. A code is
  looked up byte for byte in what the lens yields first; null stays null; a code that is not in the map is a
  rejected field.
- A field without sources refers to a sibling part of the same row: `LensCall("part", ("incident",))`.
- `attach` names the column of a part that receives the id of the main part of the same row.
- A shared part is one record for all rows whose `share` columns hold the same raw texts: its id is computed from
  them, and its fields read no other column, so that every row says the same of it.
- A repeating part is read as one part for each place of its group, `suspect.1`, `suspect.2`, `suspect.3`: the sign
  `<n>` in its columns is the number of the place. Who stands in the second place keeps its identifier.
- A key is used again when every column that `key_reuse` names says something else than before: a new key epoch, never
  an update. A column that was empty, or is, says nothing.
- Columns that begin with `$` are the medium's, not the file's: `$recno` is the number of a record in its file, from 1,
  and names a row only where the file is written once and never again; `$deleted` is the record's flag of deletion.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Literal

from banyan.departments import Domain

Scalar = str | int
Operator = Literal["=", "!=", "starts"]

RECNO = "$recno"
DELETED = "$deleted"
MEDIUM_COLUMNS = (RECNO, DELETED)
"""What a medium of write-once files says of a record beside its fields."""


class Severity(StrEnum):
    """What happens when a field's raw value cannot be carried."""

    FIELD = "field"
    """The field is quarantined and its raw value kept; the row is loaded without it."""
    ROW = "row"
    """The row is quarantined."""
    WARN = "warn"
    """The field stays empty, its raw value is residue, and it is counted."""


class ToleranceKind(StrEnum):
    """How far apart two values may be and still say the same, because the legacy type holds no more."""

    SECOND = "second"
    """Instants less than one second apart."""
    MINUTE = "minute"
    """Instants less than one minute apart."""
    DECIMALS = "decimals"
    """Numbers less than one unit of the last decimal of the legacy type apart."""
    TRAILING_BLANKS = "trailing_blanks"
    """Texts that differ in blanks at their end alone."""


class FateKind(StrEnum):
    """What becomes of a source column; each column has exactly one."""

    KEY = "key"
    MAPPED = "mapped"
    RESIDUE_ONLY = "residue_only"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a rule file, counted from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


NOWHERE = Mark("", 0, 0)


@dataclass(frozen=True, slots=True)
class LensCall:
    """A lens by name with its parameters, as written: `name.use_name(sep: " EP. ", max: 40)`."""

    name: str
    args: tuple[Scalar, ...] = ()
    kwargs: Mapping[str, Scalar] = field(default_factory=dict)

    def __str__(self) -> str:
        words = [_literal(value) for value in self.args]
        words += [f"{name}: {_literal(value)}" for name, value in sorted(self.kwargs.items())]
        return f"{self.name}({', '.join(words)})" if words else self.name


def _literal(value: Scalar) -> str:
    match value:
        case int():
            return str(value)
        case str():
            escaped = value.replace("\\", "\\\\").replace('"', '\\"')
            return f'"{escaped}"'


@dataclass(frozen=True, slots=True)
class Condition:
    """A comparison of one source column with a text; null reads as '', trailing blanks do not count."""

    column: str
    op: Operator
    value: str

    def __str__(self) -> str:
        return f"{self.column} {self.op} '{self.value}'"


@dataclass(frozen=True, slots=True)
class Tolerance:
    """What a rule declares that the legacy type cannot tell apart; `decimals` counts those it holds."""

    kind: ToleranceKind
    decimals: int = 0

    def __str__(self) -> str:
        return f"{self.kind}({self.decimals})" if self.kind is ToleranceKind.DECIMALS else self.kind.value


class Policy(StrEnum):
    """Whose value stands where the old system changed a field behind its fence."""

    LEGACY = "legacy"
    """The old system's: what stands there is not written over."""
    LATEST = "latest"
    """The later of both times."""
    PREFER = "prefer"
    """The code that is named first; the owner's where neither is named."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """The policy of a field; `codes` are the legacy codes to prefer, the first before all others."""

    policy: Policy
    codes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.policy}({', '.join(self.codes)})" if self.codes else self.policy.value


@dataclass(frozen=True, slots=True)
class FieldRule:
    """How source columns become canonical columns of one part, and back.

    `to` has the column of the field first, then its `also` columns, in the order of the lens's outputs.
    `writes_back` is False when another field owns the source columns on the way back.
    `tolerance` is for the comparison of both sides alone: it changes no value.
    `conflict` is for the way back alone; without it the owner's value is written.
    """

    to: tuple[str, ...]
    sources: tuple[str, ...]
    lens: LensCall | None = None
    code_map: str | None = None
    severity: Severity = Severity.FIELD
    writes_back: bool = True
    tolerance: Tolerance | None = None
    conflict: Conflict | None = None
    mark: Mark = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a part in a repeating group: the second of three suspects."""

    group: str
    number: int
    count: int
    column: str | None = None
    """The canonical column that says the number of the place."""


@dataclass(frozen=True, slots=True)
class PartRule:
    """One canonical record that a legacy row emits, always or under a condition."""

    name: str
    table: str
    domain: Domain
    main: bool
    fields: tuple[FieldRule, ...]
    when: Condition | None = None
    attach: str | None = None
    constants: Mapping[str, str] = field(default_factory=dict)
    share: tuple[str, ...] = ()
    """Source columns whose raw texts give the part its id, in place of the row's key; empty: not shared."""
    place: Place | None = None
    mark: Mark = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Retention:
    """Out of time: the latest readable date among the columns is before a day.

    A value is readable when it is eight digits whose year is 1900 to 2099 (month and day may be 00);
    such texts are compared as text with `before`, written YYYYMMDD. A row without a readable date is kept.
    """

    columns: tuple[str, ...]
    before: str


@dataclass(frozen=True, slots=True)
class Parent:
    """The row follows its parent: filtered when `column` holds the key of a filtered row of `table`.

    The engine is given, in its context, the keys of the filtered rows of each parent table; parents are
    mapped before their children (`mappings.closure.load_order`).
    """

    table: str
    column: str


@dataclass(frozen=True, slots=True)
class FilterRule:
    """A named, lawful reason not to load a row; exactly one of condition, retention, parent and judged is given.

    `judged` rows are kept out when the terms of retention, applied to the whole legacy system before its first copy,
    say that they may be kept no longer; the engine is given what was judged in its context.
    """

    name: str
    basis: str
    condition: Condition | None = None
    retention: Retention | None = None
    parent: Parent | None = None
    judged: bool = False
    mark: Mark = field(default=NOWHERE, compare=False, repr=False)
    basis_fr: str = ""
    """The basis in French; the same words where none were given."""


@dataclass(frozen=True, slots=True)
class Ruleset:
    """The versioned meaning of one source table."""

    rule_id: str
    version: int
    system: str
    table: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    parts: tuple[PartRule, ...]
    deletes: Condition | None = None
    filters: tuple[FilterRule, ...] = ()
    residue_only: Mapping[str, str] = field(default_factory=dict)
    drop: Mapping[str, str] = field(default_factory=dict)
    side_effects: Mapping[str, str] = field(default_factory=dict)
    write_once: bool = False
    """Whether the source is a file that is written once: nothing changes in it and nothing is written back."""
    key_reuse: tuple[str, ...] = ()
    """Source columns that all say something else when the key stands for something else; empty: never reused."""
    digest: str = ""
    marks: Mapping[str, Mark] = field(default_factory=dict, compare=False, repr=False)
    """Where each source column is given its fate, by column name; `''` is the file itself."""

    @property
    def main(self) -> PartRule:
        """Give the part that carries the identity of the row."""
        return next(part for part in self.parts if part.main)

    def part(self, name: str) -> PartRule:
        """Give a part by its name."""
        return next(part for part in self.parts if part.name == name)

    @property
    def is_judged(self) -> bool:
        """Tell whether the terms of retention say something of each of its rows."""
        return any(one.judged for one in self.filters)

    def field_number(self, column: str) -> int:
        """Give the number of a source column, as residue cells carry it."""
        return self.columns.index(column)


@dataclass(frozen=True, slots=True)
class CodeMap:
    """An approved table from source codes to canonical codes.

    `reverse_preferred` names the source code to write back where several source codes share a canonical one.
    """

    name: str
    entries: Mapping[str, str]
    reverse_preferred: Mapping[str, str] = field(default_factory=dict)
    mark: Mark = field(default=NOWHERE, compare=False, repr=False)

    def backward(self) -> dict[str, str]:
        """Give the source code to write for each canonical code."""
        first: dict[str, str] = {}
        for source, canonical in self.entries.items():
            first.setdefault(canonical, source)
        return first | dict(self.reverse_preferred)


@dataclass(frozen=True, slots=True)
class Deviation:
    """What one department says otherwise than the rules of its system, until when, and who answers for it."""

    subject: str
    """The table, or the code map, that deviates."""
    changes: tuple[str, ...]
    """What is said otherwise: `part.column`, a code, or a source column of this department alone."""
    owner: str
    until: date
    reason: str
    mark: Mark = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ReadAs:
    """A raw text of a column that a steward decided to read as another one; None reads it as nothing.

    `digest` is keyed: it tells decisions apart where the texts themselves must not stand.
    """

    column: str
    raw: str = field(repr=False)
    text: str | None = field(repr=False)
    digest: str = ""


@dataclass(frozen=True, slots=True)
class RuleBook:
    """All rulesets and code maps of one legacy system, as one department reads them."""

    system: str
    rulesets: Mapping[str, Ruleset]
    code_maps: Mapping[str, CodeMap]
    digest: str = ""
    department: str = ""
    """The department whose deviations are laid over the rules; empty: the rules of the system themselves."""
    deviations: tuple[Deviation, ...] = ()
    read_as: Mapping[str, tuple[ReadAs, ...]] = field(default_factory=dict, repr=False)
    """By table: texts that a steward decided to read otherwise; the rules themselves stay as they are written."""
