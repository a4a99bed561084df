"""Repeating groups: a part written once becomes one part for each place of its group.

A wide row holds its suspects side by side: mec1_nom, mec2_nom, mec3_nom. The rule says the part once, with the sign
`<n>` where the columns count, and reads as three parts: `suspect.1`, `suspect.2`, `suspect.3`. From here on they are
parts like any other, each with its identifier, its residue and its way back; a fourth suspect has no place in the row.
"""

from dataclasses import dataclass

from banyan.canonical.model import CanonicalTable, Kind
from mappings.diagnostics import Diagnostics, suggest
from mappings.documents import FieldDocument, PartDocument, RepeatDocument, RulesetDocument
from mappings.model import Place
from mappings.yaml_nodes import Steps, YamlFile

SIGN = "<n>"
COUNTED = frozenset((Kind.SMALLINT, Kind.INTEGER, Kind.BIGINT, Kind.TEXT))
"""Kinds of canonical columns that can say the number of a place."""


@dataclass(frozen=True, slots=True)
class SpreadPart:
    """One part to read: as the file says it, for one place of its group or for the row."""

    document: PartDocument
    written: PartDocument
    """The part as it stands in the file, with its signs."""
    steps: Steps
    place: Place | None = None


def spread(document: RulesetDocument) -> tuple[SpreadPart, ...]:
    """Give the parts of a rule in order, a repeating one as often as it has places."""
    groups = {part.part: part.repeat for part in document.emit if part.repeat is not None}
    parts: list[SpreadPart] = []
    for number, part in enumerate(document.emit):
        steps: Steps = ("emit", number)
        if part.repeat is None:
            parts.append(SpreadPart(part, part, steps))
            continue
        parts += [
            SpreadPart(_told(part, place, groups), part, steps, place)
            for place in (
                Place(part.part, at, part.repeat.count, part.repeat.index) for at in range(1, part.repeat.count + 1)
            )
        ]
    return tuple(parts)


def name_of(group: str, number: int) -> str:
    """Name the part that stands in one place of a group."""
    return f"{group}.{number}"


def _told(part: PartDocument, place: Place, groups: dict[str, RepeatDocument]) -> PartDocument:
    digits = 1 if part.repeat is None else part.repeat.digits
    number = str(place.number).zfill(digits)

    def told(text: str) -> str:
        return text.replace(SIGN, number)

    def told_field(field: FieldDocument) -> FieldDocument:
        source = field.source
        if source is not None:
            source = told(source) if isinstance(source, str) else tuple(told(one) for one in source)
        sibling = field.part
        if sibling in groups and groups[sibling].count == place.count:
            sibling = name_of(sibling, place.number)
        return field.model_copy(update={"source": source, "part": sibling})

    return part.model_copy(
        update={
            "part": name_of(place.group, place.number),
            "when": None if part.when is None else told(part.when),
            "fields": {name: told_field(field) for name, field in part.fields.items()},
        }
    )


def offset_as_written(written: str, told: str, offset: int) -> int:
    """Give the place in a text with signs of a character of the same text with numbers, both counted from 0."""
    signs = written.count(SIGN)
    if not signs:
        return offset
    width = len(SIGN) - (len(written) - len(told)) // signs
    shifted, start = offset, 0
    for _ in range(signs):
        start = written.index(SIGN, start)
        if shifted <= start:
            break
        shifted = max(start, shifted + len(SIGN) - width)
        start += len(SIGN)
    return shifted


def check_repeats(file: YamlFile, document: RulesetDocument, found: Diagnostics) -> None:
    """Refuse groups that cannot be read: on the main part, shared, or without a sign of who is there."""
    for number, part in enumerate(document.emit):
        if part.repeat is None:
            continue
        mark = file.key_mark(("emit", number, "repeat"))
        if part.main:
            found.refuse(mark, "the main part repeats", "a row has its own main part; repeat another one")
        if part.share:
            found.refuse(mark, f"part {part.part} repeats and is shared", "keep one of repeat and share")
        if part.when is None or SIGN not in part.when:
            found.refuse(
                mark,
                f"part {part.part} repeats and does not say which places are taken",
                f"add when: \"column{SIGN} != ''\", with a column that is filled when somebody stands there",
            )


def check_index(file: YamlFile, part: SpreadPart, table: CanonicalTable, found: Diagnostics) -> None:
    """Refuse an index in a column that does not exist or that holds no number."""
    if part.place is None or part.place.column is None:
        return
    kinds = {column.name: column.kind for column in table.columns}
    name, mark = part.place.column, file.value_mark((*part.steps, "repeat", "index"))
    if name not in kinds:
        found.refuse(mark, f"unknown column {name} of {table.name}", suggest(name, kinds, what="columns"))
    elif kinds[name] not in COUNTED:
        found.refuse(
            mark,
            f"column {name} is {kinds[name].value}, the number of a place is whole",
            suggest(name, [one for one, kind in kinds.items() if kind in COUNTED], what="columns that can hold it"),
        )
