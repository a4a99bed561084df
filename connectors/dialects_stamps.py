"""SQL that finds rows by who wrote them last, built from quoted identifiers; values are bound."""

from psycopg import sql

from connectors.dialects import Bound, TableShape, key_text


def select_stamped(shape: TableShape, column: str, bounds: tuple[str, str, str]) -> Bound:
    """Select the keys of rows stamped since a moment whose last writer one snapshot did not see and a later one does.

    Without such a column the whole table is looked at. A stamp is rounded, up to a second; one without a time zone is
    of any zone, up to 26 hours away. Both only widen what is looked at: the number of the last writer decides, widened
    from 32 to 64 bits.
    """
    floor, since, until = bounds
    has_zone = any(c.name == column and "with time zone" in c.type_name for c in shape.columns)
    earliest = "%s::timestamptz - interval '2 s'" if has_zone else "%s::timestamptz::timestamp - interval '27 hours'"
    where: sql.Composable = sql.SQL("true")
    if column:
        stamp = sql.Identifier("t", column)
        where = sql.SQL("({stamp} >= {earliest} or {stamp} is null)").format(
            stamp=stamp,
            earliest=sql.SQL(earliest),  # type: ignore[arg-type]  # one of two of ours
        )
    query = sql.SQL(
        "select {key} from {table} t cross join (select pg_catalog.pg_snapshot_xmax("
        "pg_catalog.pg_current_snapshot())::text::bigint as newest) n cross join lateral (select "
        "(n.newest - ((n.newest - t.xmin::text::bigint) & 4294967295))::text::xid8 as writer) w "
        "where {where} "
        "and not pg_catalog.pg_visible_in_snapshot(w.writer, %s::pg_snapshot) "
        "and pg_catalog.pg_visible_in_snapshot(w.writer, %s::pg_snapshot)"
    ).format(
        key=key_text(shape, "t"),
        table=shape.identifier,
        where=where,
    )
    return query, [floor, since, until] if column else [since, until]
