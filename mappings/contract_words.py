"""The coexistence contract in words a steward understands: each sentence in French and in English."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence in the two languages of the house."""

    french: str
    english: str

    def within(self, **facts: object) -> "Sentence":
        """Fill the named facts in."""
        return Sentence(self.french.format(**facts), self.english.format(**facts))


WIDTH = Sentence("« {columns} » : {limit} caractères au plus.", "{columns}: {limit} characters at most.")
WIDTH_TOGETHER = Sentence(
    "« {columns} » : ensemble, avec ce qui les sépare, {limit} caractères au plus.",
    "{columns}: together, with what stands between them, {limit} characters at most.",
)
WIDTH_WRITTEN = Sentence(
    "« {columns} » : écrit à la manière de l'ancien système, {limit} caractères au plus.",
    "{columns}: as the old system writes it, {limit} characters at most.",
)
CODES = Sentence(
    "« {columns} » : seulement {allowed}. Un autre code n'a pas d'équivalent dans l'ancien système.",
    "{columns}: only {allowed}. Any other code has none in the old system.",
)
DERIVED = Sentence(
    "« {columns} » : ne se corrige pas seul, il est recalculé à partir de « {others} ».",
    "{columns}: is not corrected alone, it is recomputed from {others}.",
)
CONSTANT = Sentence(
    "« {columns} » : reste {allowed} pour ce qui vient de {table} ; l'ancien système ne le note pas.",
    "{columns}: stays {allowed} for what comes from {table}; the old system does not hold it.",
)
LINK = Sentence(
    "« {columns} » : ne change pas ; ces fiches viennent d'une même ligne de {table}.",
    "{columns}: does not change; these records come from one row of {table}.",
)
REFERENCE = Sentence(
    "« {columns} » : désigne une fiche qui a une ligne dans {target}.",
    "{columns}: refers to a record that has a row in {target}.",
)
OTHER_FIELD = Sentence(
    "« {columns} » : ne se corrige pas ici ; un autre champ écrit la colonne {column} de {table}.",
    "{columns}: is not corrected here; another field writes the column {column} of {table}.",
)
PLACES = Sentence(
    "« {part} » : {limit} au plus par fiche « {main} » ; la ligne de {table} n'a pas d'autre place.",
    "{part}: {limit} at most for one {main}; the row of {table} has no further place.",
)
ONE = Sentence(
    "« {part} » : une fiche au plus par fiche « {main} » ; la ligne de {table} n'en montre qu'une.",
    "{part}: one record at most for one {main}; the row of {table} shows only one.",
)
SHARED = Sentence(
    "« {columns} » : ne se corrige pas ici ; plusieurs lignes de {table} ont la même fiche, aucune ne l'écrit seule.",
    "{columns}: is not corrected here; several rows of {table} share this record, and none of them alone writes it.",
)
ALWAYS = Sentence(
    "« {part} » : ne se supprime pas sans sa fiche « {main} » ; la ligne de {table} la porte toujours.",
    "{part}: is not deleted without its {main}; the row of {table} always has it.",
)
SHOWN = Sentence(
    "« {part} » : n'existe que si {condition} dans {table} ; laissée vide, la fiche disparaît de l'ancien système.",
    "{part}: exists only when {condition} in {table}; left empty, the record is gone from the old system.",
)
UNKNOWN_COLUMNS = Sentence(
    "« {columns} » : l'ancien système n'a aucune place pour eux ; ce qu'on y saisit n'y revient pas.",
    "{columns}: the old system has no place for them; what is entered there does not go back.",
)
ALPHABET = Sentence(
    "« {columns} » : seulement les caractères que l'ancien système sait écrire ({encoding}).",
    "{columns}: only characters that the old system can write ({encoding}).",
)
REWRITTEN = Sentence(
    "« {columns} » : l'ancien système retouche la colonne {column} de {table} à l'écriture (règle : « {cause} »).",
    "{columns}: the old system changes the column {column} of {table} when it is written (rule: {cause}).",
)
FORM = Sentence("« {columns} » : {form_fr}.", "{columns}: {form_en}.")


def as_it_is(text: str) -> str:
    """Let a text of the rules pass through a sentence unchanged, braces and all."""
    return text.replace("{", "{{").replace("}", "}}")


_CAUSES: tuple[tuple[str, str, str], ...] = (
    (r"the year is not between 1000 and 9999", "une année de 1000 à 9999", "a year from 1000 to 9999"),
    (
        r"the precision has no form in this date",
        "la précision est DAY, MONTH, YEAR ou UNKNOWN",
        "the precision is DAY, MONTH, YEAR or UNKNOWN",
    ),
    (r"the day is not between the years (\d+) and (\d+).*", "un jour de {0} à {1}", "a day from {0} to {1}"),
    (r"one digit tells centuries from (\d+) to (\d+)", "une année de {0} à {1}", "a year from {0} to {1}"),
    (r"two digits of a year stand for (\d+) to (\d+)", "une année de {0} à {1}", "a year from {0} to {1}"),
    (
        r"number and street written together would read differently",
        "une rue qui ne commence pas par un numéro",
        "a street that does not begin with a number",
    ),
    (
        r"the old system's field holds no line, tab or control character",
        "sur une seule ligne, sans tabulation ni caractère de commande",
        "on one line, without tabs or control characters",
    ),
    (
        r"a part holds the separator of the parts",
        "aucun élément ne contient le signe qui les sépare",
        "no part holds the sign that separates them",
    ),
    (
        r"the old system would read it as a text under the wrong code page",
        "pas de suite de signes que l'ancien système prendrait pour un texte mal décodé",
        "no signs that the old system would take for a text under the wrong code page",
    ),
    (
        r"a value that the Python lens does not write",
        "seulement ce que la règle écrite en Python sait rendre",
        "only what the lens in Python can write",
    ),
    (r"the number is not whole", "un nombre entier", "a whole number"),
    (r"more than (\d+) decimals", "{0} décimales au plus", "{0} decimals at most"),
    (r"not a whole number above zero", "un nombre entier plus grand que zéro", "a whole number above zero"),
    (
        r"has fewer than (\d+) parts",
        "{0} éléments, séparés comme dans l'ancien système",
        "{0} parts, with their separator",
    ),
    (
        r"no row of (\S+) says this, or several do",
        "seulement ce qu'une ligne, et une seule, de {0} dit",
        "only what one row of {0}, and no other, says",
    ),
    (
        r"the name holds the text that separates a use name",
        "le nom de naissance ne contient pas le texte qui annonce le nom d'usage",
        "the birth name does not hold the text that announces a use name",
    ),
)

FORMS: dict[str, Sentence] = {
    "text.padded": Sentence(
        "sans blancs à la fin, et jamais vide de blancs seuls", "no blanks at the end, never blanks alone"
    ),
    "name.given": Sentence("prénoms séparés par un seul blanc", "given names separated by one blank"),
    "name.use_name": Sentence("nom de naissance d'abord, puis nom d'usage", "birth name first, then use name"),
    "date.yyyymmdd": Sentence("un jour entier ; l'heure n'est pas notée", "a whole day; no hour is held"),
    "instant.local": Sentence(
        "à la minute ; les secondes sont perdues, et une heure que le changement d'heure saute ou répète est douteuse",
        "to the minute; seconds are lost, and an hour that a change of clock skips or repeats is doubtful",
    ),
    "number.integer": Sentence("un nombre entier", "a whole number"),
    "number.decimal_comma": Sentence("un montant à deux décimales", "an amount with two decimals"),
    "flag": Sentence("oui ou non ; l'inconnu s'écrit vide", "yes or no; unknown is written as a blank"),
}
"""What else a form says, beside its width and its refusals; a lens that is not here says it in English."""


def say_cause(cause: str) -> Sentence:
    """Turn the cause of a refusal into what is allowed; a cause nobody worded yet is quoted."""
    for pattern, french, english in _CAUSES:
        found = re.fullmatch(pattern, cause)
        if found:
            return Sentence(french.format(*found.groups()), english.format(*found.groups()))
    return Sentence(f"l'ancien système refuse : « {cause} »", f"the old system refuses: {cause}")
