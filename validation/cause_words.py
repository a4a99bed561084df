"""The causes that L4 gives in its own words, said in French: a page in French does not speak English in its table."""

from validation.text import Text

DEGRADED = "explained: degraded"
"""The cause of what a degraded write-back explains: listed there, and no difference."""

_FRENCH = {
    "null in canonical": "vide dans le nouveau système",
    "a rejected field has a value": "un champ refusé porte une valeur",
    "value where none is expected": "une valeur là où la règle n’en attend pas",
    "value where no rule writes": "une valeur là où aucune règle n’écrit",
    "no record in canonical": "aucune fiche dans le nouveau système",
    "other value": "autre valeur",
    "date differs": "date différente",
    "instant differs": "instant différent",
    "reference differs": "référence différente",
    "case differs": "majuscules différentes",
    "blank differs": "espaces différents",
    "accents lost": "accents perdus",
    "accents differ": "accents différents",
    "cut": "texte coupé",
    "no legacy row is known": "aucune ligne connue de l’ancien système",
    "its legacy row does not emit it": "sa ligne ne la produit pas",
    "its legacy row is deleted": "sa ligne est supprimée",
    "its legacy row is filtered": "sa ligne est écartée par une règle",
    "its legacy row is in quarantine": "sa ligne est en quarantaine",
    "its legacy row is gone": "sa ligne n’existe plus",
    "two legacy rows emit it": "deux lignes la produisent",
    "only the old system knows it": "seul l’ancien système la connaît",
    "only the new system knows it": "seul le nouveau système la connaît",
    "it differs from the paper": "elle diffère du papier",
    DEGRADED: "expliqué par une écriture de retour incomplète",
}
_QUERY = "query "
_GOLDEN = "golden record does not hold"
_LISTS = {
    "open cases": "procédures en cours",
    "missing persons": "personnes disparues",
    "stolen vehicles": "véhicules volés",
    "stolen items": "objets volés",
    "in custody": "gardes à vue en cours",
    "live seals": "scellés vivants",
}


def say_cause(cause: str) -> Text:
    """Give a cause in both languages; one that has no French words stands for itself."""
    head, colon, tail = cause.partition(": ")
    if colon and head.startswith(_QUERY) and tail in _FRENCH:
        return Text(f"recherche {head.removeprefix(_QUERY)}\u202f: {_FRENCH[tail]}", cause)
    if colon and head == _GOLDEN:
        return Text(f"fiche étalon non tenue\u202f: {tail}", cause)
    if colon and head in _LISTS and tail in _FRENCH:
        return Text(f"{_LISTS[head]}\u202f: {_FRENCH[tail]}", cause)
    return Text(_FRENCH.get(cause, cause), cause)


def say_text(text: Text) -> Text:
    """Give a cause that was written down in one language only in both."""
    return say_cause(text.en) if text.fr == text.en else text


def list_title(name: str) -> Text:
    """Give a list of live work in the words of the page; an unknown list stands for itself."""
    english = name.replace("_", " ")
    return Text(_LISTS.get(english, english), english)
