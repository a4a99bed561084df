"""The shape of golden records: invented legacy rows, and what a ruleset must make of them, there and back."""

from typing import Annotated, Literal

from pydantic import Field, ValidationError

from mappings.diagnostics import Diagnostics
from mappings.documents import Document, Words, refuse_all
from mappings.yaml_nodes import YamlFile


class ReferenceDocument(Document):
    """The identifier of another record: of a row by its key, or of a part of the same row."""

    ref: Annotated[str | None, Field(pattern=r"^\w+\.[\w.]+$", description="t_personne.identity")] = None
    key: Annotated[
        tuple[str, ...] | str | None, Field(description="the key of that row; a list when it has several")
    ] = None
    part: Annotated[str | None, Field(description="a part of the same row")] = None


Expected = dict[str, ReferenceDocument | str | None]


class EditDocument(Document):
    """What somebody changes in the new system, and what the old one must hold then."""

    edit: Annotated[
        dict[str, Expected | None], Field(description="part: columns and new values; null removes the part")
    ]
    writes: Annotated[
        dict[str, str | None], Field(default_factory=dict, description="legacy columns that change; all others stay")
    ]
    degraded: Annotated[
        dict[str, str], Field(default_factory=dict, description="canonical column: kind of degradation")
    ]


class GoldenDocument(Document):
    """One golden record."""

    name: Words
    row: Annotated[dict[str, str | None], Field(min_length=1, description="columns left out are null")]
    fate: Literal["LOADED", "DELETED", "FILTERED", "QUARANTINED"] = "LOADED"
    reason: Annotated[
        str | None, Field(description="the filter that keeps the row out, or the cause of the refusal")
    ] = None
    filtered: Annotated[
        dict[str, tuple[str, ...]], Field(default_factory=dict, description="keys of filtered rows of parent tables")
    ]
    looked_up: Annotated[
        dict[str, dict[str, str | None]],
        Field(default_factory=dict, description="table.column: what the rows of other tables say, by key"),
    ]
    records: Annotated[
        dict[str, Expected], Field(default_factory=dict, description="part: columns; all others are null")
    ]
    rejected: Annotated[dict[str, str], Field(default_factory=dict, description="source column: cause")]
    residue: Annotated[tuple[str, ...], Field(default_factory=tuple, description="mapped columns that live as residue")]
    edits: Annotated[tuple[EditDocument, ...], Field(default_factory=tuple)]


class GoldenFileDocument(Document):
    """The golden records of one legacy table."""

    golden: Annotated[Words, Field(description="the legacy table")]
    department: Annotated[str, Field(pattern=r"^[0-9A-Z]{2,6}$")] = "38"
    time_zone: Words = "Europe/Paris"
    records: Annotated[tuple[GoldenDocument, ...], Field(min_length=1)]


_KNOWN: dict[str, type[Document]] = {"records": GoldenDocument, "edits": EditDocument}


def parse_golden(file: YamlFile, found: Diagnostics) -> GoldenFileDocument | None:
    """Check the shape of a file of golden records."""
    try:
        return GoldenFileDocument.model_validate(file.with_nulls())
    except ValidationError as error:
        refuse_all(file, error, found, document=GoldenFileDocument, known=_KNOWN)
        return None
