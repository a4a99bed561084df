"""The engine once more, one row at a time, in plain Python: what the vectorised one must agree with.

It reads the same rulesets, and shares no code with the engine: neither expressions nor packing nor hashing.
"""

import hashlib
import hmac
import re
import uuid

from banyan.canonical.model import TABLES, Kind
from mappings.catalogue import bind_parameters
from tests.mappings.reference_lenses import CAUSES, LENSES, NUL_READERS, Refused, Rejected

NAMESPACE = uuid.UUID("5ec1a37e-1d2b-5f06-9a0b-6b616e79616e")
RANGES = {Kind.SMALLINT: 2**15, Kind.INTEGER: 2**31, Kind.BIGINT: 2**63, Kind.NUMERIC: 10**14}


def holds(condition, row):
    text, value = (row[condition.column] or "").rstrip(" "), condition.value.rstrip(" ")
    return {"=": text == value, "!=": text != value, "starts": text.startswith(value)}[condition.op]


def filtered_by(ruleset, row, context):
    for rule in ruleset.filters:
        if rule.condition and holds(rule.condition, row):
            return rule.name
        if rule.retention:
            dates = [row[c] for c in rule.retention.columns if row[c] and re.fullmatch("(19|20)[0-9]{6}", row[c])]
            if dates and max(dates) < rule.retention.before:
                return rule.name
        if rule.parent and row[rule.parent.column] in set(context.filtered.get(rule.parent.table, ())):
            return rule.name
    return None


def identify(context, table, part, key):
    name = f"{context.department_code}.{context.system_code}|{table}|{key}|0|{part}"
    for entry in context.adopted.iter_rows(named=True) if context.adopted is not None else ():
        if (entry["table"], entry["key"]) == (table, key) and entry.get("part") in (None, part):
            return entry["id"]
    return uuid.uuid5(NAMESPACE, name).bytes


def read_field(rule, part, book, row, context):
    """Give the values of a field, its rejection (cause, column) and its event (cause, column)."""
    nothing = (None,) * len(rule.to)
    raws = tuple(row[column] for column in rule.sources)
    for column in rule.sources:
        if "\x00" in (row[column] or "") and lens_name(rule) not in NUL_READERS:
            return nothing, ("holds the character NUL, which no canonical text can hold", column), None
    forward, _ = LENSES[rule.lens.name if rule.lens else "verbatim"]
    try:
        values, event = forward(raws, parameters(rule, context))
    except Rejected as rejection:
        return nothing, (rejection.cause, rule.sources[rejection.source]), None
    code_map = code_map_of(rule, book)
    if code_map and values[0] is not None:
        if values[0] not in code_map.entries:
            return nothing, ("a code that the code map does not know", rule.sources[0]), None
        values = (code_map.entries[values[0]], *values[1:])
    limit = RANGES.get(TABLES[part.table].column(rule.to[0]).kind)
    if limit and values[0] is not None and not -limit <= values[0] < limit:
        return nothing, ("outside the range of the canonical column", rule.sources[0]), None
    return values[: len(rule.to)], None, event and (CAUSES[event[0]], rule.sources[event[1]])


def write_field(rule, book, values, context):
    code_map = code_map_of(rule, book)
    if code_map and values[0] is not None:
        if values[0] not in code_map.backward():
            raise Refused("UNKNOWN_CODE")
        values = (code_map.backward()[values[0]], *values[1:])
    return LENSES[rule.lens.name if rule.lens else "verbatim"][1](values, parameters(rule, context))


def parameters(rule, context):
    given = bind_parameters(rule.lens) if rule.lens else {}
    return given | {"time_zone": context.time_zone, "inputs": len(rule.sources)}


def code_map_of(rule, book):
    if rule.lens and rule.lens.name == "code":
        return book.code_maps[bind_parameters(rule.lens)["map"]]
    return book.code_maps[rule.code_map] if rule.code_map else None


def lens_name(rule):
    return rule.lens.name if rule.lens else "verbatim"


def apply_row(ruleset, book, row, context):
    """Give the fate of one row and, when it is loaded, its parts, kept cells, rejected fields and events."""
    if ruleset.deletes and holds(ruleset.deletes, row):
        return {"fate": "DELETED"}
    if name := filtered_by(ruleset, row, context):
        return {"fate": "FILTERED", "rule": name}
    key = "\x1f".join(row[column] for column in ruleset.key)
    ids = {part.name: identify(context, ruleset.table, part.name, key) for part in ruleset.parts}
    present = {part.name: part.when is None or holds(part.when, row) for part in ruleset.parts}
    answer = {"fate": "LOADED", "parts": {}, "kept": {}, "rejected": [], "warned": [], "row_cause": None}
    claimed = set(ruleset.key)
    for part in ruleset.parts:
        record = dict(part.constants)
        for rule in part.fields:
            record |= _apply_field(ruleset, part, rule, (book, row, context, ids, present, claimed, answer))
        if part.attach:
            record[part.attach] = ids[ruleset.main.name]
        if present[part.name]:
            answer["parts"][part.name] = {"id": ids[part.name], "domain_code": part.domain.value, **record}
    for column in ruleset.columns:
        if column not in claimed and column not in ruleset.drop and row[column] is not None:
            answer["kept"][column] = row[column]
    return answer if answer["row_cause"] is None else {"fate": "QUARANTINED", "cause": answer["row_cause"]}


def _apply_field(ruleset, part, rule, state):
    book, row, context, ids, present, claimed, answer = state
    owned = [column for column in rule.sources if rule.writes_back and column not in claimed]
    claimed.update(owned)
    here = present[part.name]
    if lens_name(rule) == "part":
        sibling = bind_parameters(rule.lens)["name"]
        return {rule.to[0]: ids[sibling] if present[sibling] else None}
    if lens_name(rule) == "ref":
        table, target = bind_parameters(rule.lens)["target"].split(".")
        blank = any(not (row[column] or "").strip(" ") for column in rule.sources)
        answer["kept"] |= {c: row[c] for c in owned if row[c] is not None and (blank or not here)}
        key = "\x1f".join(row[column] or "" for column in rule.sources)
        return {rule.to[0]: None if blank else identify(context, table, target, key)}
    values, rejection, event = read_field(rule, part, book, row, context)
    try:
        again = dict(zip(rule.sources, write_field(rule, book, values, context), strict=True))
    except Refused:
        again = None
    for column in owned:
        lost = rejection or event or again is None or again[column] != row[column]
        if lost if here else row[column] is not None:
            answer["kept"][column] = row[column]
    if here and rejection:
        noted = (rejection[1], rejection[0], row[rejection[1]])
        if rule.severity == "row":
            answer["row_cause"] = answer["row_cause"] or f"{rejection[1]}: {rejection[0]}"
        else:
            answer["rejected" if rule.severity == "field" else "warned"].append(noted)
    if here and event:
        answer["warned"].append((event[1], event[0], row[event[1]]))
    return dict(zip(rule.to, values, strict=True))


def pack(ruleset, kept):
    """Write the residue of one row."""

    def digits(number, size):
        return "".join(chr(48 + number // 64**power % 64) for power in reversed(range(size)))

    cells = b""
    for column in sorted(kept, key=ruleset.columns.index):
        raw = kept[column]
        text = b"" if raw is None else raw.encode()
        head = digits(ruleset.columns.index(column), 2) + ("N" if raw is None else "T") + digits(len(text), 4)
        cells += head.encode() + text
    return cells or None


def row_hash(ruleset, row, key):
    """Give the digest of one row."""
    cells = [row[column] for column in ruleset.columns if column not in ruleset.drop]
    encoded = f"B1|{len(cells)}".encode()
    for cell in cells:
        written = b"\x1eN" if cell is None else cell.encode().replace(b"\x1e", b"\x1eE").replace(b"\x1f", b"\x1eF")
        encoded += b"\x1f" + written
    return hmac.new(key.hex().encode(), encoded, hashlib.sha256).digest()[:16]
