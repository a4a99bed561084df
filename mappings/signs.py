"""Signs that tell what a column is before anybody has read it: personal, sensitive, badly encoded. Names and counts.

A tag from a name is a guess and says so; a tag from a rule is what the canonical model declares.
"""

import re
from collections.abc import Mapping
from typing import Final

from banyan.canonical.columns import Sensitivity
from banyan.canonical.model import TABLES
from mappings.model import Ruleset

ENCODING_SIGNS: Final[Mapping[str, str]] = {
    "UTF-8 read as latin1": "[\u00c2\u00c3][\u0080-\u00bf\u20ac\u0192\u201a\u201e\u2026\u2030\u0160\u0152]",
    "cp1252 read as latin1": "[\u0080-\u009f]",
    "cp850 read as cp1252": "[a-z][\u201a\u0160\u2026\u0192\u02c6\u2030\u0152\u2014\u201c\u00da\u00de][a-z]",
    "characters that were lost": "\ufffd",
    "the character NUL": "\\x00",
    "control characters": "[\\x01-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f]",
}
"""What texts hold when bytes were read under another encoding than they were written in."""
UNDECODED_SIGN: Final = "bytes that are no text of the encoding declared"

_SPECIAL: Final = re.compile(
    r"relig|ethni|race|origine|sant[eé]|health|handicap|syndic|politi|opinion|sexuel|sexual|adn|dna|empreinte|biometr",
    re.IGNORECASE,
)
_PERSONAL: Final = re.compile(
    r"^nom|_nom|nom_|surname|prenom|given|naiss|ddn|birth|sexe?$|adress|adr_|rue|voie|tel|phone|mail|courriel|immat|"
    r"plaque|plate|nir|secu|passeport|permis|iban|photo|alias|surnom|filiation|conjoint|profession|libre|memo|note|obs",
    re.IGNORECASE,
)
_PERSONAL_FORMS: Final = ("telephones", "plates", "use names after EP.")
MOST: Final = 0.3
"""Which share of the filled texts must have the form of something personal."""


def tag(column: str, forms: Mapping[str, float], ruleset: Ruleset | None) -> tuple[str, str]:
    """Give how a column is to be protected, and how we know: `special`, `personal`, `case` or `none`."""
    if ruleset is not None and column in ruleset.drop:
        return "special", "dropped by its rule on a legal basis"
    declared = _declared(column, ruleset)
    if declared is not None:
        words = {Sensitivity.SPECIAL: "special", Sensitivity.IDENTITY: "personal", Sensitivity.CASE: "case"}
        return words.get(declared, "none"), "declared by the canonical model"
    if _SPECIAL.search(column):
        return "special", "guessed from its name"
    if _PERSONAL.search(column):
        return "personal", "guessed from its name"
    if any(forms.get(name, 0.0) >= MOST for name in _PERSONAL_FORMS):
        return "personal", "guessed from the form of its texts"
    return "none", "no sign found"


def _declared(column: str, ruleset: Ruleset | None) -> Sensitivity | None:
    """Give the strictest protection of the canonical columns that a column is mapped to."""
    order = (Sensitivity.NONE, Sensitivity.CASE, Sensitivity.IDENTITY, Sensitivity.SPECIAL)
    found = [
        TABLES[part.table].column(name).sensitivity
        for part in (ruleset.parts if ruleset is not None else ())
        for rule in part.fields
        if column in rule.sources
        for name in rule.to
        if name in TABLES[part.table].column_names
    ]
    return max(found, key=order.index) if found else None
