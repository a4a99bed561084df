"""Profiles: what a gate asks, as data. A new level becomes required by adding it to `asked` in one line."""

from dataclasses import dataclass

from validation.text import Text

LEVELS: dict[str, Text] = {
    "L0": Text("A-t-on tout lu\u202f?", "Was everything read?"),
    "L1": Text("Chaque ligne a-t-elle un sort\u202f?", "Has every row one fate?"),
    "L2": Text("Les règles du métier sont-elles tenues\u202f?", "Do the business rules hold?"),
    "L3": Text("Quelqu’un d’autre a-t-il écrit\u202f?", "Did anyone else write?"),
    "L4": Text("Chaque fiche est-elle ce que la règle dit\u202f?", "Is each record what the rule says?"),
    "L5": Text("Les réponses du métier sont-elles les mêmes\u202f?", "Are the answers the same?"),
    "L6": Text("Le retour rend-il les mêmes octets\u202f?", "Does the way back give the same bytes?"),
}
"""Each level and the question it answers."""

UNASKED: dict[str, tuple[Text, ...]] = {
    "L2": (
        Text("L2, règles du métier évaluées dans le nouveau système", "L2, business rules evaluated in the new system"),
    ),
    "L3": (
        Text("L3, recherche d’écritures étrangères par empreintes", "L3, search for foreign writes by bucket digests"),
    ),
    "L5": (
        Text("L5, parité du travail en cours, nom par nom", "L5, open-work parity, name by name"),
        Text("L5, rejeu des recherches", "L5, query replay"),
        Text("L5, échantillon comparé au papier", "L5, sample compared to the paper"),
    ),
}
"""The checks of a level, named one by one where a page says what was not asked."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What a gate asks: its levels, and the roles that must sign, each by a different person."""

    name: str
    title: Text
    asked: tuple[str, ...]
    roles: tuple[str, ...] = ("steward", "lead")

    @property
    def unasked(self) -> tuple[str, ...]:
        """Give the levels this profile does not ask, in order."""
        return tuple(level for level in LEVELS if level not in self.asked)

    @property
    def unasked_checks(self) -> tuple[Text, ...]:
        """Name each check this profile does not ask."""
        return tuple(check for level in self.unasked for check in UNASKED.get(level, (_whole_level(level),)))


def _whole_level(level: str) -> Text:
    question = LEVELS[level]
    return Text(f"{level}\u202f: {question.fr}", f"{level}: {question.en}")


PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile(
            "switch",
            Text("bascule", "switch"),
            asked=("L0", "L1", "L2", "L4", "L6"),
        ),
        Profile(
            "full",
            Text("complet", "full"),
            asked=tuple(LEVELS),
        ),
    )
}
