"""Repairing what waits in quarantine, a cause at once: previewed by the engine itself, decided, replayed, undone.

A decision is written with its reason into the processing log, in the transaction that notes it on the entries. It
holds for every row that will ever come, until it is undone; rules stay as they are written.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from banyan.departments import Actor
from banyan.errors import UsageError
from mappings.decided import CodeMeans
from mappings.engine import apply_forward, compile_ruleset
from mappings.model import FieldRule, RuleBook, Ruleset
from store.causes import Cause, Entry, find_cause, read_entries
from store.decisions import Because, Decided, DecisionKind, find_decisions, mark_entries, write_decision
from store.journal import ProcessingEntry, append_processing
from store.outcomes import sealed_place_of
from store.postgres import raw, transaction
from sync.assembly import Rig
from sync.decided import digest_text, lay_over, seal_code, seal_value
from sync.readings import read_by_encoding, readings_of
from sync.replay import find_moved
from sync.setting import key_column, look_up

_ROWS_AT_ONCE = 50_000
_REFERENCES = 1_000
_Place = tuple[str, str | None]


@dataclass(frozen=True, slots=True)
class Wish:
    """What a steward wants of a cause: meanings of codes, and texts to read as other ones (None: as nothing)."""

    codes: tuple[tuple[str, str], ...] = ()
    values: tuple[tuple[str, str | None], ...] = field(default=(), repr=False)
    encoding: str = ""
    """The encoding by which cells are read that are no text of the one declared; empty: by none."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What decisions would do to the entries of a cause, as the engine itself maps their rows; nothing is changed."""

    cause: Cause
    decided: tuple[Decided, ...] = field(repr=False)
    covered: tuple[tuple[int, int], ...] = field(repr=False)
    """Entries that would leave the list: number of the entry, and which of the decisions covers it."""
    keys: tuple[str, ...] = field(repr=False)
    remaining: dict[str, int]
    """Entries that would stay, by cause; "" counts rows that are gone from the legacy system."""
    refused_anew: int
    """Rows and fields that would be refused and are not today."""
    notes: tuple[str, ...]


def preview_repair(rig: Rig, name: str, wish: Wish) -> Preview:
    """Say what a decision would do, by mapping the rows of the cause with it and without it."""
    code = rig.source.department_code
    with transaction(rig.workspace.engine("banyan_steward")) as connection:
        cause = find_cause(connection, code, name)
        entries = list(read_entries(connection, code, cause))
        standing = find_decisions(connection, rig.source)
    if cause.system != rig.source.system_code:
        raise UsageError(f"{cause.name} is a cause of {cause.system}, not of {rig.source}; nothing was read")
    ruleset = rig.book.rulesets[cause.table]
    wish, unread = _spelled(rig, cause, entries, wish)
    decided, notes = _decide(rig, ruleset, cause, wish)
    notes = (*notes, f"{unread} cells are no text of {wish.encoding} either") if unread else notes
    if moved := find_moved(rig, [cause.table]):
        notes = (*notes, f"{moved[1]}: what is decided waits, quarantine replay is refused until it is given back")
    after = lay_over(rig.workspace, rig.source, [*(one.what for one in standing), *decided])
    now, then, there = _refusals(rig, ruleset, entries, after)
    staying = {
        entry.number: then.get((entry.key, entry.column), "")
        for entry in entries
        if (entry.key, entry.column) in then or entry.key not in there
    }
    covered = [entry for entry in entries if entry.number not in staying]
    return Preview(
        cause=cause,
        decided=decided,
        covered=_covering(rig, ruleset.table, covered, decided),
        keys=tuple(entry.key for entry in covered),
        remaining=dict(Counter(staying.values())),
        refused_anew=len(then.keys() - now.keys()),
        notes=notes,
    )


def repair(rig: Rig, preview: Preview, actor: Actor, *, reason: str) -> list[int]:
    """Write decisions, note them on the entries that they cover, and log both, in one transaction; gives their numbers.

    The same decisions again change nothing but the entries that arrived since.
    """
    if not reason.strip():
        raise UsageError("a decision needs its reason; nothing was changed", hint="--reason TEXT")
    cause, source = preview.cause, rig.source
    because = Because(actor, f"{cause.place}: {cause.sentence}", reason.strip())
    with transaction(rig.workspace.engine("banyan_steward")) as connection:
        numbers = [write_decision(connection, source, one, because) for one in preview.decided]
        for place, number in enumerate(numbers):
            mark_entries(connection, [entry for entry, by in preview.covered if by == place], number, actor=actor)
        told = ", ".join(f"D-{number}" for number in numbers)
        entry = ProcessingEntry(
            actor=actor,
            department_code=source.department_code,
            operation="alteration",
            reason=f"{told} on {cause.name}, {len(preview.covered)} entries: {reason.strip()}",
            record_refs=tuple(f"{source}/{cause.table}/{key}" for key in preview.keys[:_REFERENCES]) or (str(source),),
        )
        append_processing(connection, entry)
    return numbers


def fields_reading(ruleset: Ruleset, column: str) -> list[FieldRule]:
    """Give the fields of a ruleset that read a source column."""
    return [rule for part in ruleset.parts for rule in part.fields if column in rule.sources]


def _spelled(rig: Rig, cause: Cause, entries: Sequence[Entry], wish: Wish) -> tuple[Wish, int]:
    """Give a wish with raw texts as the source gives them; and how many cells its encoding does not read."""
    values, unread = readings_of(cause, wish.values), 0
    if wish.encoding:
        keys = rig.workspace.landing.keys
        read, unread = read_by_encoding(keys, rig.source, cause, entries, encoding=wish.encoding)
        if not read:
            raise UsageError(
                f"no cell of {cause.name} is a text of {wish.encoding}; nothing was changed",
                hint="another --encoding, or --value 0x..=TEXT for single cells",
            )
        values += read
    return replace(wish, values=tuple(values)), unread


def _decide(rig: Rig, ruleset: Ruleset, cause: Cause, wish: Wish) -> tuple[tuple[Decided, ...], tuple[str, ...]]:
    """Turn what a steward wants into decisions; refused where no rule would ever read them."""
    if not wish.codes and not wish.values:
        raise UsageError(
            f"nothing is wished of {cause.name}; nothing was changed", hint="--code CODE=MEANING or --value TEXT=TEXT"
        )
    column = _column_of(ruleset, cause)
    decided: list[Decided] = []
    notes: list[str] = []
    for code, means in wish.codes:
        code_map = _code_map_of(rig, ruleset, column)
        if means not in rig.book.code_maps[code_map].entries.values():
            notes.append(f"{means} is a meaning that no code of {code_map} had until now")
        decided.append(seal_code(CodeMeans(code_map, code, means)))
    for text, reading in wish.values:
        if not any(rule.lens is None or rule.lens.name != "ref" for rule in fields_reading(ruleset, column)):
            raise UsageError(
                f"{ruleset.table}.{column} holds no value that a lens reads; nothing was changed",
                hint=f"correct the row in {rig.source}, then: banyan sync run {rig.source.department_code}",
            )
        keys = rig.workspace.landing.keys
        decided.append(seal_value(keys, rig.source, ruleset.table, column=column, texts=(text, reading)))
    return tuple(decided), tuple(notes)


def _column_of(ruleset: Ruleset, cause: Cause) -> str:
    """Name the column a cause is about; a row refused for one of its fields says which, before the colon."""
    column = cause.column or cause.sentence.partition(": ")[0]
    if column not in ruleset.columns:
        raise UsageError(
            f"{cause.name} ({cause.sentence}) is no matter of a single value; nothing was changed",
            hint="correct the row in the legacy system, or change its rule",
        )
    return column


def _code_map_of(rig: Rig, ruleset: Ruleset, column: str) -> str:
    found = {
        rule.code_map or str(rule.lens.args[0] if rule.lens and rule.lens.args else "")
        for rule in fields_reading(ruleset, column)
        if rule.code_map is not None or (rule.lens is not None and rule.lens.name == "code")
    }
    known = sorted(found & set(rig.book.code_maps))
    if len(known) != 1:
        told = f"{len(known)} code maps ({', '.join(known)})" if known else "no code map"
        raise UsageError(
            f"{ruleset.table}.{column} goes through {told}, so a code of it cannot be decided; nothing was changed",
            hint="--value TEXT=TEXT, or change the rule",
        )
    return known[0]


def _covering(
    rig: Rig, table: str, entries: Sequence[Entry], decided: Sequence[Decided]
) -> tuple[tuple[int, int], ...]:
    """Tell which decision covers each entry: the one about its own text, else the first."""
    if len(decided) == 1:
        return tuple((entry.number, 0) for entry in entries)
    code, keys = rig.source.department_code, rig.workspace.landing.keys
    by_code = {(one.code or "").strip(" "): at for at, one in enumerate(decided) if one.kind is DecisionKind.CODE}
    by_text = {one.raw_digest: at for at, one in enumerate(decided) if one.kind is DecisionKind.VALUE}
    column = next((one.column for one in decided if one.column is not None), "")
    found = []
    for entry in entries:
        place = sealed_place_of(code, entry.source_table_no, entry.key, column=entry.column)
        text = None if entry.raw is None else keys.open(entry.raw, place=place).decode()
        at = None
        if text is not None:
            at = by_text.get(digest_text(keys, rig.source, table, column=column, text=text))
            at = by_code.get(text.strip(" ")) if at is None else at
        found.append((entry.number, at or 0))
    return tuple(found)


def _refusals(
    rig: Rig, ruleset: Ruleset, entries: Sequence[Entry], after: RuleBook
) -> tuple[Mapping[_Place, str], Mapping[_Place, str], set[str]]:
    """Map the rows of these entries by both rule books; gives what each refuses, and which rows are there."""
    setting = rig.setting("banyan_forward")
    kept = [column for column in ruleset.columns if column not in ruleset.drop]
    keys = sorted({entry.key for entry in entries})
    now: dict[_Place, str] = {}
    then: dict[_Place, str] = {}
    there: set[str] = set()
    for start in range(0, len(keys), _ROWS_AT_ONCE):
        rows = rig.port.read_keys(ruleset.table, keys[start : start + _ROWS_AT_ONCE]).rows.select(kept)
        with transaction(setting.engine) as connection:
            context = look_up(raw(connection), setting, ruleset, rows)
        for book, refused in ((rig.book, now), (after, then)):
            compiled = compile_ruleset(book.rulesets[ruleset.table], book, setting.context())
            mapped = apply_forward(compiled, rows, context)
            refused |= {(key, None): cause for key, cause in mapped.rejected.select("source_key", "cause").iter_rows()}
            fields = mapped.rejected_fields.select("source_key", "column", "cause")
            refused |= {(key, column): cause for key, column, cause in fields.iter_rows()}
        there |= set(rows.select(key_column(ruleset)).to_series())
    return now, then, there
