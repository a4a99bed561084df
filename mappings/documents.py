"""The shape of rule files, checked by pydantic at the border; every refusal carries its place."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mappings.conflict_policies import CONFLICT_PATTERN
from mappings.diagnostics import Diagnostics, suggest
from mappings.yaml_nodes import Step, Steps, YamlFile

CODE_MAPS_KEY = "code_maps"
Words = Annotated[str, Field(min_length=1, pattern=r"\S")]


class Document(BaseModel):
    """A piece of a rule file: a key that is not known is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=False)


class SourceDocument(Document):
    """Where the rows come from."""

    system: Words
    table: Words
    key: Annotated[tuple[Words, ...], Field(min_length=1)]
    deletes: Annotated[str | None, Field(description="condition that means deleted: top_supp = 'O'")] = None
    write_once: Annotated[bool, Field(description="true: files that never change; allows $recno")] = False
    key_reuse: Annotated[
        tuple[Words, ...], Field(description="columns that all differ when the key is used for something else")
    ] = ()


class FieldDocument(Document):
    """One canonical column (and its `also` columns) of a part."""

    source: Annotated[Words | tuple[Words, ...] | None, Field(alias="from")] = None
    lens: Annotated[str | None, Field(description='name.use_name(sep: " EP. ", max: 40)')] = None
    guess: Annotated[str | None, Field(description="a lens that a draft proposes; refused until it is confirmed")] = (
        None
    )
    code_map: str | None = None
    also: tuple[Words, ...] = ()
    part: Annotated[str | None, Field(description="id of a sibling part of the same row")] = None
    severity: Literal["field", "row", "warn"] = "field"
    write_back: Annotated[bool, Field(description="false: another field owns the source column")] = True
    tolerance: Annotated[
        str | None,
        Field(
            pattern=r"^(second|minute|trailing_blanks|decimals\([0-9]\))$",
            description="what the legacy type cannot tell apart: second, minute, decimals(2), trailing_blanks",
        ),
    ] = None
    conflict: Annotated[
        str | None,
        Field(
            pattern=CONFLICT_PATTERN,
            description="whose value stands when the old system changed it behind its fence: legacy, latest, "
            "prefer(CSS, REL); left out: the owner's",
        ),
    ] = None


class RepeatDocument(Document):
    """A group of columns that stands several times in a row: `<n>` in a column is the number of the place."""

    count: Annotated[int, Field(ge=2, le=99, description="how many places the row has")]
    index: Annotated[str | None, Field(description="canonical column that receives the number of the place")] = None
    digits: Annotated[int, Field(ge=1, le=2, description="2: the numbers are written 01, 02")] = 1


class PartDocument(Document):
    """One canonical record a row emits."""

    part: Words
    table: Words
    domain: Words
    main: bool = False
    when: str | None = None
    attach: Annotated[str | None, Field(description="column that receives the id of the main part")] = None
    constants: dict[str, str] = {}
    share: Annotated[tuple[Words, ...], Field(description="columns that give a part shared by many rows its id")] = ()
    repeat: Annotated[RepeatDocument | None, Field(description="{count: 3, index: role_sequence}")] = None
    fields: dict[str, FieldDocument]


class RetentionDocument(Document):
    """Out of time: the latest readable date of the columns is before a day."""

    columns: Annotated[tuple[Words, ...], Field(min_length=1)]
    before: Annotated[str, Field(pattern=r"^(19|20)\d\d-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$")]


class FilterDocument(Document):
    """A named, lawful reason not to load a row: one of when, retention, parent, judged."""

    rule: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    legal_basis: Words
    legal_basis_fr: Annotated[Words | None, Field(description="the same in French, for the page of the steward")] = None
    when: str | None = None
    retention: RetentionDocument | None = None
    parent: Annotated[str | None, Field(pattern=r"^\w+ via \w+$", description="t_proc via id_proc")] = None
    judged: Annotated[Literal["retention"] | None, Field(description="past its term, judged before the copy")] = None


class DropDocument(Document):
    """Why a column is not carried over."""

    legal_basis: Words


class RulesetDocument(Document):
    """What one source table means."""

    draft: Annotated[str | None, Field(description="written by map draft; refused until it is removed")] = None
    rule: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*@[1-9][0-9]*$", description="T_PROC@1")]
    source: SourceDocument
    columns: Annotated[tuple[Words, ...], Field(min_length=1, description="all source columns, in order")]
    emit: Annotated[tuple[PartDocument, ...], Field(min_length=1)]
    residue_only: dict[str, Words] = {}
    drop: dict[str, DropDocument] = {}
    filters: tuple[FilterDocument, ...] = ()
    side_effects: dict[str, Words] = {}


class CodeMapDocument(Document):
    """Source codes and their canonical codes."""

    entries: Annotated[dict[str, Words], Field(min_length=1)]
    reverse_preferred: dict[str, str] = {}


class CodeMapsDocument(Document):
    """All code maps of a system."""

    code_maps: dict[str, CodeMapDocument]


def parse_ruleset(file: YamlFile, found: Diagnostics) -> RulesetDocument | None:
    """Check the shape of a rule file."""
    try:
        return RulesetDocument.model_validate(file.root)
    except ValidationError as error:
        refuse_all(file, error, found, document=RulesetDocument, known=KNOWN)
        return None


def parse_code_maps(file: YamlFile, found: Diagnostics) -> CodeMapsDocument | None:
    """Check the shape of a file of code maps."""
    try:
        return CodeMapsDocument.model_validate(file.root)
    except ValidationError as error:
        refuse_all(file, error, found, document=CodeMapsDocument, known=KNOWN)
        return None


def refuse_all(
    file: YamlFile,
    error: ValidationError,
    found: Diagnostics,
    *,
    document: type[Document],
    known: Mapping[str, type[Document]],
) -> None:
    """Refuse everything that has not the shape of a document, each at its place; `known` names its sections."""
    refused: set[Steps] = set()
    for one in error.errors(include_url=False, include_input=False):
        steps, rest = _split(file, one["loc"])
        if steps in refused and one["type"] != "missing":
            continue  # the other branch of a union says the same of the same place
        refused.add(steps)
        match one["type"]:
            case "extra_forbidden":
                keys = _known_keys(document, known, steps[:-1])
                found.refuse(
                    file.key_mark(steps),
                    f"unknown key {steps[-1]}",
                    suggest(str(steps[-1]), keys, what="keys"),
                )
            case "missing":
                found.refuse(file.value_mark(steps), f"key {rest[-1]} is missing", f"add {rest[-1]}: ...")
            case "string_pattern_mismatch":
                pattern = one.get("ctx", {}).get("pattern")
                found.refuse(
                    file.value_mark(steps),
                    f"{_named(steps)} is not written as it must be",
                    f"it must match {pattern}",
                )
            case _:
                found.refuse(file.value_mark(steps), f"{_named(steps)}: {one['msg']}", "see map schema")


def _named(steps: Steps) -> str:
    return next((step for step in reversed(steps) if isinstance(step, str)), "the file")


def _split(file: YamlFile, location: tuple[Step, ...]) -> tuple[Steps, tuple[Step, ...]]:
    """Part a pydantic location into what the file says and the rest (a missing key, a branch of a union)."""
    length = len(location)
    while length and not file.has(location[:length]):
        length -= 1
    return location[:length], location[length:]


KNOWN: dict[str, type[Document]] = {
    "source": SourceDocument,
    "emit": PartDocument,
    "fields": FieldDocument,
    "repeat": RepeatDocument,
    "filters": FilterDocument,
    "retention": RetentionDocument,
    "drop": DropDocument,
    "code_maps": CodeMapDocument,
}


def _known_keys(document: type[Document], known: Mapping[str, type[Document]], steps: Steps) -> list[str]:
    name = next((step for step in reversed(steps) if isinstance(step, str) and step in known), "")
    model = known.get(name, document) if steps else document
    return [spec.alias or key for key, spec in model.model_fields.items()]
