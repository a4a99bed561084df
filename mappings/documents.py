"""The shape of rule files, checked by pydantic at the border; every refusal carries its place."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mappings.diagnostics import Diagnostics, suggest
from mappings.yaml_nodes import Step, Steps, YamlFile

Words = Annotated[str, Field(min_length=1, pattern=r"\S")]


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=False)


class SourceDocument(_Document):
    """Where the rows come from."""

    system: Words
    table: Words
    key: Annotated[tuple[Words, ...], Field(min_length=1)]
    deletes: Annotated[str | None, Field(description="condition that means deleted: top_supp = 'O'")] = None
    write_once: Annotated[bool, Field(description="true: files that never change; allows $recno and share")] = False


class FieldDocument(_Document):
    """One canonical column (and its `also` columns) of a part."""

    source: Annotated[Words | tuple[Words, ...] | None, Field(alias="from")] = None
    lens: Annotated[str | None, Field(description='name.use_name(sep: " EP. ", max: 40)')] = None
    code_map: str | None = None
    also: tuple[Words, ...] = ()
    part: Annotated[str | None, Field(description="id of a sibling part of the same row")] = None
    severity: Literal["field", "row", "warn"] = "field"
    write_back: Annotated[bool, Field(description="false: another field owns the source column")] = True


class PartDocument(_Document):
    """One canonical record a row emits."""

    part: Words
    table: Words
    domain: Words
    main: bool = False
    when: str | None = None
    attach: Annotated[str | None, Field(description="column that receives the id of the main part")] = None
    constants: dict[str, str] = {}
    share: Annotated[tuple[Words, ...], Field(description="columns that give a part shared by many rows its id")] = ()
    fields: dict[str, FieldDocument]


class RetentionDocument(_Document):
    """Out of time: the latest readable date of the columns is before a day."""

    columns: Annotated[tuple[Words, ...], Field(min_length=1)]
    before: Annotated[str, Field(pattern=r"^(19|20)\d\d-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$")]


class FilterDocument(_Document):
    """A named, lawful reason not to load a row: one of when, retention, parent."""

    rule: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    legal_basis: Words
    when: str | None = None
    retention: RetentionDocument | None = None
    parent: Annotated[str | None, Field(pattern=r"^\w+ via \w+$", description="t_proc via id_proc")] = None


class DropDocument(_Document):
    """Why a column is not carried over."""

    legal_basis: Words


class RulesetDocument(_Document):
    """What one source table means."""

    rule: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*@[1-9][0-9]*$", description="T_PROC@1")]
    source: SourceDocument
    columns: Annotated[tuple[Words, ...], Field(min_length=1, description="all source columns, in order")]
    emit: Annotated[tuple[PartDocument, ...], Field(min_length=1)]
    residue_only: dict[str, Words] = {}
    drop: dict[str, DropDocument] = {}
    filters: tuple[FilterDocument, ...] = ()
    side_effects: dict[str, Words] = {}


class CodeMapDocument(_Document):
    """Source codes and their canonical codes."""

    entries: Annotated[dict[str, Words], Field(min_length=1)]
    reverse_preferred: dict[str, str] = {}


class CodeMapsDocument(_Document):
    """All code maps of a system."""

    code_maps: dict[str, CodeMapDocument]


def parse_ruleset(file: YamlFile, found: Diagnostics) -> RulesetDocument | None:
    """Check the shape of a rule file."""
    try:
        return RulesetDocument.model_validate(file.root)
    except ValidationError as error:
        _refuse_all(file, error, found, RulesetDocument)
        return None


def parse_code_maps(file: YamlFile, found: Diagnostics) -> CodeMapsDocument | None:
    """Check the shape of a file of code maps."""
    try:
        return CodeMapsDocument.model_validate(file.root)
    except ValidationError as error:
        _refuse_all(file, error, found, CodeMapsDocument)
        return None


def _refuse_all(file: YamlFile, error: ValidationError, found: Diagnostics, document: type[_Document]) -> None:
    refused: set[Steps] = set()
    for one in error.errors(include_url=False, include_input=False):
        steps, rest = _split(file, one["loc"])
        if steps in refused and one["type"] != "missing":
            continue  # the other branch of a union says the same of the same place
        refused.add(steps)
        match one["type"]:
            case "extra_forbidden":
                known = _known_keys(document, steps[:-1])
                found.refuse(
                    file.key_mark(steps),
                    f"unknown key {steps[-1]}",
                    suggest(str(steps[-1]), known, what="keys"),
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


_KNOWN: dict[str, type[_Document]] = {
    "source": SourceDocument,
    "emit": PartDocument,
    "fields": FieldDocument,
    "filters": FilterDocument,
    "retention": RetentionDocument,
    "drop": DropDocument,
    "code_maps": CodeMapDocument,
}


def _known_keys(document: type[_Document], steps: Steps) -> list[str]:
    name = next((step for step in reversed(steps) if isinstance(step, str) and step in _KNOWN), "")
    model = _KNOWN.get(name, document) if steps else document
    return [spec.alias or key for key, spec in model.model_fields.items()]
