"""A first ruleset for a table nobody has described yet: guesses from names, types and counts of patterns.

Every guess is marked as one, `guess:` in place of `lens:`, with the reason in a comment; and the file says that it is a
draft. Lint refuses it until somebody has read each guess and confirmed it. No value of a row is ever written into it.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from banyan.canonical.model import TABLES, Kind
from mappings.draft_words import COLUMNS, DELETED
from mappings.draft_words import TABLES as TABLE_WORDS
from mappings.profile import FEW_KINDS, ColumnProfile

MOST = 0.8
"""Which share of the filled texts must have a form for it to be guessed."""


@dataclass(frozen=True, slots=True)
class Guess:
    """One field guessed: the canonical column, the lens, the code map to be written, and why."""

    column: str
    source: str
    lens: str
    reason: str
    code_map: str = ""
    also: tuple[str, ...] = ()


@dataclass(slots=True)
class _Draft:
    system: str
    table: str
    key: tuple[str, ...]
    profiles: Sequence[ColumnProfile]
    guesses: list[Guess] = field(default_factory=list)

    @property
    def canonical(self) -> tuple[str, str]:
        """Give the canonical table and the domain that the name of the table speaks of."""
        for pattern, canonical, domain in TABLE_WORDS:
            if re.search(pattern, self.table.lower()):
                return canonical, domain
        return "case_file", "cases"

    def guess_all(self) -> None:
        taken: set[str] = set()
        for one in self.profiles:
            if one.name in self.key or re.search(DELETED, one.name.lower()):
                continue
            guess = self._guess(one, taken)
            if guess is not None:
                taken |= {guess.column, *guess.also}
                self.guesses.append(guess)

    def _guess(self, one: ColumnProfile, taken: set[str]) -> Guess | None:
        table = TABLES[self.canonical[0]]
        for pattern, column in COLUMNS.get(table.name, ()):
            if column in taken or not re.search(pattern, one.name.lower()):
                continue
            found = _lens_for(one, table.column(column).kind, column)
            if found is None:
                continue
            lens, also = found
            code_map = one.name.upper() if column.endswith("_code") and one.kinds <= FEW_KINDS else ""
            also = tuple(name for name in also if name in table.column_names and name not in taken)
            return Guess(column, one.name, lens, f"named {one.name}; {one}", code_map, also)
        return None

    def write(self) -> Iterator[str]:
        canonical, domain = self.canonical
        yield f"# A draft from a scan of {self.system}.{self.table}: names, types and counts of patterns, no value."
        yield "# Read each guess; write lens: in place of guess: where it is right, then remove the line draft:."
        yield "draft: nobody has confirmed these guesses yet"
        yield f"rule: {re.sub(r'[^A-Z0-9_]', '_', self.table.upper())}@1"
        deletes = [one.name for one in self.profiles if re.search(DELETED, one.name.lower())]
        for name in deletes:
            yield f"# {name} may say that a row is deleted: then add deletes: \"{name} = '...'\" under source"
        yield f"source: {{system: {self.system}, table: {self.table}, key: [{', '.join(map(_word, self.key))}]}}"
        yield "columns:"
        for one in self.profiles:
            yield f"  - {_word(one.name)}  # {one}"
        yield "emit:"
        yield f"  - part: {canonical}  # a guess from the name of the table"
        yield f"    table: {canonical}"
        yield f"    domain: {domain}"
        yield "    main: true"
        yield "    fields:" if self.guesses else "    fields: {}"
        for guess in self.guesses:
            also = f", also: [{', '.join(guess.also)}]" if guess.also else ""
            codes = f", code_map: {guess.code_map}" if guess.code_map else ""
            yield f"      # guess: {guess.reason}"
            yield f"      {guess.column}: {{from: {_word(guess.source)}, guess: {_quoted(guess.lens)}{codes}{also}}}"
        guessed = {guess.source for guess in self.guesses}
        left = [one.name for one in self.profiles if one.name not in guessed and one.name not in self.key]
        if left:
            yield "# Without a fate yet: map each, keep it as residue with a reason, or drop it with a legal basis."
            yield f"#   {', '.join(left)}"


def draft_ruleset(system: str, table: str, *, key: tuple[str, ...], profiles: Sequence[ColumnProfile]) -> str:
    """Write a first rule file for a table, every guess marked as one; lint refuses it until they are confirmed."""
    drafted = _Draft(system, table, key, profiles)
    drafted.guess_all()
    return "\n".join(drafted.write()) + "\n"


def _lens_for(one: ColumnProfile, kind: Kind, column: str) -> tuple[str, tuple[str, ...]] | None:
    """Guess the lens that reads a column into a kind, and the further columns it can fill."""
    match kind:
        case Kind.DATE:
            return _lens_for_day(one, column)
        case Kind.BOOLEAN:
            return 'flag(yes: "O", no: "N")', ()
        case Kind.SMALLINT | Kind.INTEGER | Kind.BIGINT:
            return "number.integer", ()
        case Kind.NUMERIC:
            if one.share("amounts with a comma") >= MOST:
                return f"number.decimal_comma({one.room})", ()
            return "number.integer", ()
        case Kind.TEXT:
            return _lens_for_text(one, column)
        case _:
            return None


def _lens_for_day(one: ColumnProfile, column: str) -> tuple[str, tuple[str, ...]] | None:
    precision = (f"{column}_precision_code", f"{column}_text")
    if one.share("days DD/MM/YYYY") >= MOST:
        return 'date.partial("DD/MM/YYYY")', precision
    if one.share("days YYYYMMDD", "days known in part") >= MOST:
        return ("date.partial_yyyymmdd", precision) if one.share("days known in part") else ("date.yyyymmdd", ())
    return None


def _lens_for_text(one: ColumnProfile, column: str) -> tuple[str, tuple[str, ...]]:
    if column == "surname" and one.share("use names after EP."):
        return f'name.use_name(sep: " EP. ", max: {one.room})', ("surname_use",)
    if column == "given_names":
        return f"name.given({one.room})", ()
    if column == "case_number":
        return f"case_number.normalised(max: {one.room})", ("case_number_normalised",)
    if column == "plate_raw":
        return f"plate.fr(max: {one.room})", ("plate_normalised", "plate_system_code")
    if column == "value_raw" and one.share("telephones") >= MOST / 2:
        return f"phone.fr(max: {one.room})", ("value_normalised", "country_code")
    is_padded = re.match(r"(char|character|bpchar)\b(?! varying)", one.type_name.lower()) or one.share(
        "trailing blanks"
    )
    return (f"text.padded({one.room})" if is_padded else f"text.max({one.room})"), ()


def _word(name: str) -> str:
    """Write a name so that YAML reads it as a word again."""
    return name if re.fullmatch(r"\$?[A-Za-z_][\w]*", name) and name.lower() not in _NOT_WORDS else _quoted(name)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


_NOT_WORDS = frozenset(("y", "n", "yes", "no", "true", "false", "on", "off", "null"))
