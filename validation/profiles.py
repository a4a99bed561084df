"""Profiles: what a gate asks, as data, one for each transition: levels, parts of levels, thresholds, freshness, people.

A new level or part becomes required by adding its name in one line; what a profile does not ask is named on the page,
in the hash and in the pack, so that nobody takes its silence for an answer.
"""

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

PARTS: dict[str, dict[str, Text]] = {
    "L0": {
        "counts": Text("L0, lecture complète, comptée", "L0, everything read, and counted"),
        "trailers": Text("L0, totaux que la source donne d’elle-même", "L0, totals that the source states of itself"),
    },
    "L5": {
        "open_work": Text("L5, parité du travail en cours, nom par nom", "L5, open-work parity, name by name"),
        "statistics": Text("L5, parité des statistiques", "L5, statistics parity"),
        "sample": Text("L5, échantillon comparé au papier", "L5, sample compared to the paper"),
        "replay": Text("L5, rejeu des recherches", "L5, query replay"),
        "totals": Text("L5, totaux de contrôle déclarés", "L5, declared control totals"),
    },
}
"""Levels that ask several questions: a profile names the parts it asks, a level names in `parts` those it answered."""

UNASKED: dict[str, tuple[Text, ...]] = {
    "L2": (
        Text("L2, règles du métier évaluées dans le nouveau système", "L2, business rules evaluated in the new system"),
    ),
    "L3": (
        Text("L3, recherche d’écritures étrangères par empreintes", "L3, search for foreign writes by bucket digests"),
    ),
}
"""How a level that is not asked at all is named where a page says so."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """The most a figure of a level may be, beside the level's own state; a figure that is absent is over it."""

    level: str
    figure: str
    most: int
    label: Text


@dataclass(frozen=True, slots=True)
class Profile:
    """What a gate asks: levels, parts, thresholds, how fresh, and the roles that sign, each by a different person."""

    name: str
    title: Text
    asked: tuple[str, ...]
    roles: tuple[str, ...] = ("steward", "lead")
    parts: tuple[str, ...] = ()
    thresholds: tuple[Threshold, ...] = ()
    freshness_hours: int = 24

    @property
    def unasked(self) -> tuple[str, ...]:
        """Give the levels this profile does not ask, in order."""
        return tuple(level for level in LEVELS if level not in self.asked)

    def parts_of(self, level: str) -> tuple[str, ...]:
        """Give the parts of a level that this profile asks."""
        return tuple(part for part in PARTS.get(level, {}) if f"{level}.{part}" in self.parts)

    @property
    def unasked_checks(self) -> tuple[Text, ...]:
        """Name each check this profile does not ask: whole levels, and parts of those it asks."""
        return tuple(check for level in LEVELS for check in self._unasked(level))

    def _unasked(self, level: str) -> tuple[Text, ...]:
        if level in self.asked:
            return tuple(text for part, text in PARTS.get(level, {}).items() if part not in self.parts_of(level))
        if level in PARTS:
            return tuple(PARTS[level].values())
        return UNASKED.get(level, (_whole_level(level),))


def _whole_level(level: str) -> Text:
    question = LEVELS[level]
    return Text(f"{level}\u202f: {question.fr}", f"{level}: {question.en}")


_MOVING = Text("clés encore en mouvement", "keys that still move")
_STILL = (Threshold("L4", "moving", 0, _MOVING), Threshold("L6", "moving", 0, _MOVING))
_SETTLED = (Threshold("L5", "replay_moving", 0, Text("réponses encore en mouvement", "answers that still move")),)
_DECIDED = (Threshold("L5", "moving", 0, Text("noms et faits encore en mouvement", "names and facts that still move")),)
_WHOLE = (Threshold("L4", "incomplete", 0, Text("passage incomplet", "incomplete pass")),)
_UNKNOWN = (
    Threshold("L0", "decode_errors", 0, Text("erreurs de lecture", "decoding errors")),
    Threshold(
        "L0",
        "undecoded_per_million",
        1_000,
        Text(
            "cellules sur un million ne sont pas du texte dans l’encodage déclaré",
            "cells in a million are no text of the encoding declared",
        ),
    ),
)
_READ = ("L0.counts", "L0.trailers")
_SAMPLED = (
    Threshold(
        "L5",
        "sample_bound_per_million",
        10_000,
        Text(
            "fiches sur un million pourraient différer du papier",
            "records in a million may differ from the paper",
        ),
    ),
    Threshold(
        "L5",
        "sample_no_file_per_hundred",
        5,
        Text("fiches sur cent de l’échantillon sans dossier", "records in a hundred of the sample without a file"),
    ),
)

SWITCHING: tuple[str, ...] = ("switch", "full")
"""Profiles whose evidence a switch may rest on; the store asks the same before it fences (`mig.check_slice`)."""
COMPLETING: tuple[str, ...] = ("complete",)
"""Profiles whose evidence the end of the way back may rest on; the store asks the same."""

PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile(
            "rehearsal",
            Text("répétition", "rehearsal"),
            asked=("L0", "L1", "L2", "L4"),
            roles=("steward",),
            parts=_READ,
            thresholds=_UNKNOWN,
            freshness_hours=7 * 24,
        ),
        Profile(
            "shadow",
            Text("marche en double", "shadow"),
            asked=("L0", "L1", "L2", "L3", "L4", "L5"),
            roles=("steward",),
            parts=(*_READ, "L5.open_work", "L5.statistics"),
            thresholds=(*_UNKNOWN, _STILL[0]),
        ),
        Profile(
            "switch",
            Text("bascule", "switch"),
            asked=tuple(LEVELS),
            parts=(*_READ, "L5.open_work", "L5.statistics", "L5.totals"),
            thresholds=(*_UNKNOWN, *_STILL, *_DECIDED, *_WHOLE),
        ),
        Profile(
            "rollback",
            Text("retour", "rollback"),
            asked=("L1", "L3", "L4", "L6"),
            thresholds=(*_STILL, *_WHOLE),
        ),
        Profile(
            "complete",
            Text("fin du retour", "end of the way back"),
            asked=("L1", "L2", "L3", "L4"),
            thresholds=(_STILL[0], *_WHOLE),
        ),
        Profile(
            "full",
            Text("complet", "full"),
            asked=tuple(LEVELS),
            parts=tuple(f"{level}.{part}" for level, parts in PARTS.items() for part in parts),
            thresholds=(*_UNKNOWN, *_STILL, *_DECIDED, *_WHOLE, *_SETTLED, *_SAMPLED),
        ),
    )
}
