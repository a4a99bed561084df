"""Where a side stood, in words a person can read; a Position stays opaque to everything that decides.

Only the page reads it, and only to say it: what it does not know it prints as it is. The whole Position stands in the
evidence, and on the page where a person points at the words.
"""

import json
import re
from collections.abc import Iterator, Mapping

from validation.text import Text

_SNAPSHOT = re.compile(r"(\d+):(\d+):([\d,]*)")
_LONGEST = 24
_SAID: dict[str, Text] = {
    "log": Text("journal de la base lu jusqu’à {}", "log of the database read up to {}"),
    "lsn": Text("journal de la base lu jusqu’à {}", "log of the database read up to {}"),
    "batch": Text("lot {} du journal", "batch {} of the journal"),
    "mark": Text("repère {}", "mark {}"),
    "entry": Text("écriture {} du journal", "entry {} of the journal"),
    "look": Text("relevé {}", "look {}"),
    "looked": Text("relevé {}", "look {}"),
    "floor": Text("vu depuis {}", "seen since {}"),
    "files": Text("{} fichiers", "{} files"),
    "incarnation": Text("histoire de la base {}", "history of the store {}"),
}


def say_position(position: str) -> Text:
    """Say a Position in both languages; one that is no set of named values is said as it is."""
    told = _named(position)
    said = list(_say(told)) if told is not None else []
    if not said:
        return Text.same(position)
    return Text("\u202f; ".join(each.fr for each in said), "; ".join(each.en for each in said))


def _say(told: Mapping[str, object]) -> Iterator[Text]:
    for name in sorted(told, key=lambda each: each == "incarnation"):  # what identifies the store comes last
        value = told[name]
        if value in ("", None):
            continue
        within = _named(value)
        if within is not None:  # a source of several captures holds the Position of each
            yield from _say({inner: said for inner, said in within.items() if inner != "incarnation"})
            continue
        snapshot = _SNAPSHOT.fullmatch(value) if isinstance(value, str) else None
        if name == "snapshot" and snapshot:
            yield _say_snapshot(snapshot[2], len([each for each in snapshot[3].split(",") if each]))
        else:
            words = _SAID.get(name, Text.same(f"{name} {{}}"))
            shown = _short(value)
            yield Text(words.fr.format(shown), words.en.format(shown))


def _named(value: object) -> dict[str, object] | None:
    """Read a text that is a set of named values; None when it is none."""
    try:
        told = json.loads(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return told if isinstance(told, dict) else None


def _say_snapshot(before: str, running: int) -> Text:
    if not running:
        return Text(f"tout ce qui précède la transaction {before}", f"all that lies before transaction {before}")
    return Text(
        f"tout ce qui précède la transaction {before}, sauf {running} en cours",
        f"all that lies before transaction {before}, but {running} in progress",
    )


def _short(value: object) -> str:
    if isinstance(value, Mapping | list):
        return str(len(value))
    text = str(value)
    return text if len(text) <= _LONGEST else f"{text[:8]}…{text[-4:]}"
