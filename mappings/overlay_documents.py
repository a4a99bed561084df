"""The shape of overlay files: what one department says otherwise, by whose word and until when."""

from typing import Annotated

from pydantic import Field, ValidationError

from mappings.diagnostics import Diagnostics
from mappings.documents import Document, DropDocument, FieldDocument, Words, refuse_all
from mappings.yaml_nodes import YamlFile


class LocalColumnDocument(Document):
    """A source column that only this department has: kept as residue, or dropped with a legal basis."""

    residue_only: Words | None = None
    drop: DropDocument | None = None


class DeviationDocument(Document):
    """One deviation: a table or a code map, what is said otherwise, who answers for it and until when."""

    table: Words | None = None
    code_map: Words | None = None
    owner: Annotated[Words, Field(description="who answers for it, and will end it")]
    until: Annotated[str, Field(pattern=r"^20\d\d-\d\d-\d\d$", description="last day; after it lint refuses")]
    reason: Words
    fields: Annotated[
        dict[str, FieldDocument],
        Field(default_factory=dict, description="part.column: the whole field, as in the rule"),
    ]
    columns: Annotated[
        dict[str, LocalColumnDocument],
        Field(default_factory=dict, description="source columns of this department alone, in order"),
    ]
    entries: Annotated[
        dict[str, Words], Field(default_factory=dict, description="codes that mean something else here, or only here")
    ]
    reverse_preferred: Annotated[dict[str, str], Field(default_factory=dict)]


class OverlayDocument(Document):
    """The deviations of one department."""

    overlay: Annotated[str, Field(pattern=r"^[0-9A-Z]{2,6}$", description='the department, such as "31"')]
    system: Words
    deviations: Annotated[tuple[DeviationDocument, ...], Field(min_length=1)]


KNOWN: dict[str, type[Document]] = {
    "deviations": DeviationDocument,
    "fields": FieldDocument,
    "columns": LocalColumnDocument,
    "drop": DropDocument,
}


def parse_overlay(file: YamlFile, found: Diagnostics) -> OverlayDocument | None:
    """Check the shape of an overlay file."""
    try:
        return OverlayDocument.model_validate(file.root)
    except ValidationError as error:
        refuse_all(file, error, found, document=OverlayDocument, known=KNOWN)
        return None
