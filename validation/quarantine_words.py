"""Why rows and fields wait in quarantine, and why an edit cannot be written back, in the words of the page.

A cause is written down once, in English, by whoever refuses: a lens, a key, the old system itself. It is no value of a
record. What is not known here stands for itself; a test reads every cause that a lens can give.
"""

import re

from banyan.undecoded import KEY_NOT_DECODED, NOT_DECODED
from validation.text import Text

_CAUSES = {
    "a code that the code map does not know": "un code que la table de correspondance ne connaît pas",
    "a name as long as its field: the field may have cut it": (
        "un nom aussi long que sa zone\u202f: la zone l’a peut-être coupé"
    ),
    "a number of days with a part of a day": "un nombre de jours avec une fraction de jour",
    "a partial date has no place here": "une date incomplète n’a pas sa place ici",
    "a postal code of four digits; the lost zero was put back": (
        "un code postal de quatre chiffres\u202f; le zéro perdu a été remis"
    ),
    "a text that the Python lens does not read": "un texte que la règle écrite en Python ne lit pas",
    "a text that was read under the wrong code page; the repaired text was taken": (
        "un texte lu avec la mauvaise table de caractères\u202f; le texte réparé a été repris"
    ),
    "an hour that the change of clock skipped": "une heure que le changement d’heure a sautée",
    "an hour that the change of clock told twice; the earlier instant was taken": (
        "une heure que le changement d’heure a donnée deux fois\u202f; le premier instant a été retenu"
    ),
    "an hour without its day": "une heure sans son jour",
    "holds the character NUL, which no canonical text can hold": (
        "contient le caractère NUL, qu’aucun texte du nouveau système ne peut contenir"
    ),
    "holds the separator of the code it is part of": "contient le séparateur du code dont il fait partie",
    "neither yes nor no nor blank": "ni oui, ni non, ni vide",
    "not a UUID": "n’est pas un identifiant UUID",
    "not a date of the expected form": "n’est pas une date de la forme attendue",
    "not a day of the calendar": "n’est pas un jour du calendrier",
    "not a number made of digits alone": "n’est pas un nombre fait de chiffres seuls",
    "not a number of days": "n’est pas un nombre de jours",
    "not a postal code of five digits": "n’est pas un code postal de cinq chiffres",
    "not a whole number": "n’est pas un nombre entier",
    "not a whole number that can be a code": "n’est pas un nombre entier qui puisse être un code",
    "not an amount with at most four decimals": "n’est pas un montant de quatre décimales au plus",
    "not an hour of the day": "n’est pas une heure du jour",
    "not of the form that the pattern asks for": "n’est pas de la forme que le modèle demande",
    "outside the range of the canonical column": "hors des limites de la colonne du nouveau système",
    "the day is not between the years 1000 and 2099, of which the changes of clock are known": (
        "le jour n’est pas entre les années 1000 et 2099, dont les changements d’heure sont connus"
    ),
    "the day is not between the years 1000 and 9999": "le jour n’est pas entre les années 1000 et 9999",
    "the text looked up holds the character NUL, which no canonical text can hold": (
        "le texte cherché contient le caractère NUL, qu’aucun texte du nouveau système ne peut contenir"
    ),
    "too great for the canonical number": "trop grand pour le nombre du nouveau système",
    "the key is missing": "la clé manque",
    "the key holds the character NUL": "la clé contient le caractère NUL",
    "a column of the key holds the character U+001F, which parts the columns of keys": (
        "une colonne de la clé contient le caractère U+001F, qui sépare les colonnes des clés"
    ),
    NOT_DECODED: "ses octets ne sont pas un texte dans le codage déclaré pour sa source",
    KEY_NOT_DECODED: "les octets de la clé ne sont pas un texte dans le codage déclaré pour sa source",
    "the key stands twice in the batch": "la clé figure deux fois dans le lot",
    "the column is new and no rule knows it": "la colonne est nouvelle et aucune règle ne la connaît",
}
_FORMS = (
    (
        re.compile(r"no row of (\S+) has this key, or several have"),
        "aucune ligne de {} n’a cette clé, ou plusieurs l’ont",
    ),
    (re.compile(r"the old system refuses this row, by (.+)"), "l’ancien système refuse cette ligne ({})"),
)
_COLUMN = re.compile(r"(\w+): (.+)", re.DOTALL)
_KINDS = {
    "TOO_LONG": Text("trop long pour l’ancienne zone", "too long for the old field"),
    "UNKNOWN_CODE": Text("code inconnu de l’ancien système", "code unknown to the old system"),
    "OUT_OF_ALPHABET": Text("caractère que l’ancienne zone ne connaît pas", "character the old field does not know"),
    "DERIVED_EDIT": Text("valeur que l’ancien système calcule", "value the old system derives"),
    "UNKNOWN_REFERENCE": Text("renvoi à une fiche sans ligne ancienne", "reference to a record without an old row"),
    "NO_PLACE": Text("sans place dans l’ancien système", "no place in the old system"),
    "REFUSED": Text("refusé par l’ancien système", "refused by the old system"),
}


def say_quarantine(cause: str) -> Text:
    """Give the cause of a quarantine in both languages, after the column that it names, when it names one."""
    if cause in _CAUSES:
        return Text(_CAUSES[cause], cause)
    for form, french in _FORMS:
        if found := form.fullmatch(cause):
            return Text(french.format(found[1]), cause)
    named = _COLUMN.fullmatch(cause)
    if named and (said := say_quarantine(named[2])).fr != said.en:
        return Text(f"{named[1]}\u202f: {said.fr}", cause)
    return Text.same(cause)


def say_degraded(kind: str) -> Text:
    """Give the kind of a degraded write-back in the words of the page; an unknown one stands for itself."""
    return _KINDS.get(kind, Text.same(kind))
