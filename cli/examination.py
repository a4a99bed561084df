"""What `doctor` asks of the servers of a project: store, roles and triggers, legacy systems, clocks."""

from collections.abc import Iterator, Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from banyan.clock import monotonic, now
from banyan.config import DATABASE_MEDIA, Project
from banyan.departments import Phase, Side, SourceRef
from banyan.errors import BanyanError, ConfigurationError
from cli.examination_files import examine_file
from cli.words import Remark, Word
from connectors.postgresql_connection import PostgreSQLConnections
from cutover.alive import read_sign_of_life
from store.install import LOGIN_ROLES, OWNER
from store.postgres import transaction
from store.slices import read_slices
from sync.assembly import Rig, open_port, open_rig
from sync.captures import find_looked_at, find_unfollowed
from sync.ways import find_left_way
from sync.workspace import Workspace, opened
from wire.cluster import ClusterPlace, cluster_home

_OLDEST = 180000
_CLOCK_SECONDS = 2.0
_PG_ROLES = sa.table(
    "pg_roles",
    *map(sa.column, ("rolname", "rolsuper", "rolcreaterole", "rolcreatedb", "rolreplication", "rolbypassrls")),
    *map(sa.column, ("rolinherit", "rolcanlogin")),
    schema="pg_catalog",
)
_PG_CLASS = sa.table("pg_class", *map(sa.column, ("oid", "relname", "relnamespace", "relkind")), schema="pg_catalog")
_PG_NAMESPACE = sa.table("pg_namespace", sa.column("oid"), sa.column("nspname"), schema="pg_catalog")
_UNFITTED = sa.table("unfitted", sa.column("relation"), sa.column("trigger_name"), schema="mig")


def examine_project(project: Project) -> Iterator[Remark]:
    """Look at the store, then at each legacy system; what does not answer is one remark and the rest goes on."""
    with opened(project) as workspace:
        is_there = _has_store(project)
        if is_there:
            yield from _told(examine_store, workspace)
        else:
            first = next(iter(sorted(project.departments)), "DEPT")
            yield Remark(Word.WAIT, "store: none yet", f"banyan load {first}")
        if not project.departments:
            yield Remark(Word.WAIT, "the project has no department", "write one in banyan.yaml")
        for code, department in sorted(project.departments.items()):
            for system in department.sources:
                yield from _told(examine_source, workspace, SourceRef(code, system))
                if is_there:
                    yield from _told(examine_guards, workspace, SourceRef(code, system))


def _told(look, *arguments) -> Iterator[Remark]:  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN002
    try:
        yield from look(*arguments)
    except BanyanError as error:
        yield Remark(Word.NO, error.message, error.hint)


def _has_store(project: Project) -> bool:
    kind, _, name = project.target.url.partition(":")
    if kind != "embedded":
        return True
    return (ClusterPlace(cluster_home(project.folder, name)).data / "PG_VERSION").exists()


def examine_store(workspace: Workspace) -> Iterator[Remark]:
    """Look at the store's version, roles, triggers, clock and boot latch."""
    with transaction(workspace.engine("banyan_forward")) as connection:
        number = int(connection.scalar(sa.select(sa.func.current_setting("server_version_num"))) or 0)
        shown = connection.scalar(sa.select(sa.func.current_setting("server_version")))
        wrong = _wrong_roles(connection)
        unfitted = connection.execute(sa.select(_UNFITTED.c.relation, _UNFITTED.c.trigger_name)).fetchall()
        offset = _offset(connection)
    if number < _OLDEST:
        yield Remark(Word.NO, f"store: PostgreSQL {shown} is older than 18", "name a newer server in banyan.yaml")
    elif wrong:
        yield Remark(Word.NO, f"store: PostgreSQL {shown}; roles not as designed: {'; '.join(wrong)}", "banyan load")
    else:
        yield Remark(Word.OK, f"store: PostgreSQL {shown}, {len(LOGIN_ROLES) + 1} roles as designed")
    if unfitted:
        told = ", ".join(f"{relation} ({trigger})" for relation, trigger in unfitted[:5])
        yield Remark(Word.NO, f"store: {len(unfitted)} triggers missing, changed or disabled: {told}", "banyan guard")
    else:
        yield Remark(Word.OK, "store: the fence stands on every canonical table and partition")
    yield _clock("the store", offset)
    with transaction(workspace.engine("banyan_guard")) as connection:
        asleep = sorted({row.closure for row in read_slices(connection) if not row.is_armed})
        sign = read_sign_of_life(workspace.engine("banyan_guard"))
        is_needed = any(row.owner is Side.CANONICAL for row in read_slices(connection))
    if sign.is_alive:
        yield Remark(Word.OK, sign.sentence)
    elif sign.age_seconds is not None or is_needed:
        yield Remark(Word.NO, f"{sign.sentence}: what is late is given up by nobody", "banyan guard --print-unit")
    if asleep:
        following = arming_command(workspace.project, [name.partition(".")[0] for name in asleep])
        yield Remark(Word.NO, f"store restarted: {', '.join(asleep)} refuse every write until armed", following)


def arming_command(project: Project, codes: Sequence[str]) -> str:
    """Give what arms departments after a start of the store: the guard, or for files that have no fence the load."""
    departments = [project.departments[code] for code in codes if code in project.departments]
    sources = [source for department in departments for source in department.sources.values()]
    if sources and all(source.write_once or source.is_one_way for source in sources):
        return f"banyan load {codes[0]}"
    return "banyan guard"


def _wrong_roles(connection: Connection) -> list[str]:
    wanted = {name: name != OWNER for name in (OWNER, *LOGIN_ROLES)}
    rows = connection.execute(sa.select(_PG_ROLES).where(_PG_ROLES.c.rolname.in_(list(wanted)))).mappings()
    found = {row["rolname"]: row for row in rows}
    wrong = [f"{name} is missing" for name in wanted if name not in found]
    for name, row in found.items():
        rights = ("rolsuper", "rolcreaterole", "rolcreatedb", "rolreplication", "rolbypassrls", "rolinherit")
        held = [right.removeprefix("rol") for right in rights if row[right]]
        if held:
            wrong.append(f"{name} has {', '.join(held)}")
        if row["rolcanlogin"] != wanted[name]:
            wrong.append(f"{name} {'may not' if wanted[name] else 'may'} log in")
    return wrong


def _offset(connection: Connection) -> float:
    """Give the seconds that a server's clock is ahead of ours, judged at the middle of the question."""
    began, here = monotonic(), now()
    there = connection.scalar(sa.select(sa.func.clock_timestamp()))
    assert there is not None
    return float((there - here).total_seconds()) - (monotonic() - began) / 2


def _clock(whose: str, offset: float) -> Remark:
    sentence = f"clock {abs(offset):.2f} s from {whose}"
    if abs(offset) <= _CLOCK_SECONDS:
        return Remark(Word.OK, sentence)
    return Remark(Word.WAIT, sentence, "set both clocks by the same time server; leases count on them")


def examine_source(workspace: Workspace, source: SourceRef) -> Iterator[Remark]:
    """Look at the rights of the reading account of a legacy system, and at its clock."""
    config = workspace.source_config(source)
    if config.write_once:
        port = open_port(workspace, source)
        told = f"{', '.join(port.tables())}; set {port.incarnation()[:8]}…"
        yield Remark(Word.OK, f"source {source}: files that are written once, whole: {told}")
        return
    if config.plaintext is not None:
        told = f"source {source} may be reached without TLS until {config.plaintext.until}: {config.plaintext.owner}"
        yield Remark(Word.WAIT, told, "have the server speak TLS, then take plaintext out of banyan.yaml")
    if config.is_one_way and config.medium not in DATABASE_MEDIA:
        tables = open_port(workspace, source).tables()
        yield Remark(Word.OK, f"source {source}: {config.medium}, read one way, {len(tables)} tables")
        return
    if config.fence:
        yield from examine_file(workspace, source)
        return
    if not config.is_database and not config.is_only_read:
        yield Remark(Word.WAIT, f"source {source}: {config.medium} is read file by file", "banyan file check PATH")
        return
    writable, powers, offset = _look(workspace, source)
    grants = f"banyan source grants {source} --level R1"
    if powers:
        yield Remark(Word.NO, f"source {source}: the reading account is {', '.join(powers)}", grants)
    elif writable:
        told = ", ".join(writable[:5])
        sentence = f"source {source} is not read-only for banyan: it may write {len(writable)} tables ({told})"
        yield Remark(Word.WAIT, sentence, f"{grants}   (prints the SQL to hand to the DBA, and to undo it)")
    else:
        yield Remark(Word.OK, f"source {source} is read-only for banyan")
    yield _clock(f"the source {source}", offset)


def _look(workspace: Workspace, source: SourceRef) -> tuple[list[str], list[str], float]:
    """Look at the reading account and the clock of a legacy database."""
    config, url = workspace.source_config(source), workspace.legacy_urls(source).reader
    if config.medium == "mariadb":
        from connectors.mariadb_rights import look_at_reader  # its driver is an extra of the installation

        look = look_at_reader(url, config.schema_name)
        return list(look.writable), list(look.powers), look.clock_offset_seconds
    reader = PostgreSQLConnections(url)
    try:
        with reader.session("looking at the rights"):
            writable, powers = _rights(reader.engine, config.schema_name)
            with reader.engine.connect() as connection:
                return writable, powers, _offset(connection)
    finally:
        reader.close()


def _rights(engine: Engine, schema: str) -> tuple[list[str], list[str]]:
    """Give the tables the account may write, and what it may that no reader should."""
    is_writable = sa.or_(
        sa.func.has_table_privilege(_PG_CLASS.c.oid, "INSERT, UPDATE, DELETE, TRUNCATE"),
        sa.func.has_any_column_privilege(_PG_CLASS.c.oid, "INSERT, UPDATE"),
    )
    tables = (
        sa.select(_PG_CLASS.c.relname)
        .join(_PG_NAMESPACE, _PG_NAMESPACE.c.oid == _PG_CLASS.c.relnamespace)
        .where(_PG_NAMESPACE.c.nspname == schema, _PG_CLASS.c.relkind.in_(("r", "p", "v")), is_writable)
        .order_by(_PG_CLASS.c.relname)
    )
    myself = sa.select(_PG_ROLES).where(_PG_ROLES.c.rolname == sa.func.current_user(type_=sa.Text))
    with engine.connect() as connection:
        writable = list(connection.scalars(tables))
        role = connection.execute(myself).mappings().one()
    powers = {"rolsuper": "a superuser", "rolcreaterole": "a creator of roles", "rolbypassrls": "beyond row security"}
    return writable, [sentence for name, sentence in powers.items() if role[name]]


def examine_guards(workspace: Workspace, source: SourceRef) -> Iterator[Remark]:
    """Look at the capture and the fences of a legacy system: installed, and as they were installed."""
    config = workspace.source_config(source)
    if not config.is_database and not config.write_once and not config.is_only_read:
        return
    code = source.department_code
    try:
        rig = open_rig(workspace, source)
    except ConfigurationError as error:
        yield Remark(Word.WAIT, error.message, error.hint)
        return
    if rig.is_write_once:
        yield from _same_files(rig)
        return
    left = find_left_way(rig)
    if left is not None:
        told = f"followed with capture: {left} until now, and banyan.yaml says capture: {config.capture}"
        yield Remark(Word.NO, f"{source}: {told}", f"banyan load {code}")
    if config.is_database:
        yield from _guards(rig, is_followed=left is None)


def _guards(rig: Rig, *, is_followed: bool) -> Iterator[Remark]:
    """Look at capture and fences; at the capture only where the Position is one of its own."""
    if is_followed:
        yield from _capture(rig)
    for found in rig.closures:
        yield _fence(rig, found.name)
    yield from _masters(rig)


def _capture(rig: Rig) -> Iterator[Remark]:
    source, config = rig.source, rig.workspace.source_config(rig.source)
    code = source.department_code
    followed = [found for found in rig.closures if rig.slices(found.name)[0].phase is not Phase.RETIRED]
    tables = sorted(table for found in followed for table in found.tables)
    loose = find_unfollowed(rig.port, config, tables)
    if loose:
        yield Remark(Word.NO, f"capture of {source}: not on {', '.join(loose)}", f"banyan load {code}")
    elif tables:
        rig.port.changes(rig.port.head())  # refused when a trigger or function is not as it was installed
        yield Remark(Word.OK, f"capture of {source}: on {len(tables)} tables, as installed")
        looked = find_looked_at(rig.port, config, tables)
        if looked:  # a whole reading of them in each run, and one within the outage of a switch
            how = f"no {config.capture} can follow them: compared row by row in each run, and in a switch"
            yield Remark(Word.OK, f"{', '.join(looked)} of {source}: {how}")


def _same_files(rig: Rig) -> Iterator[Remark]:
    """Tell whether files are those of the first copy; other ones are refused."""
    watermark = rig.forward().watermark()
    if watermark is None:
        yield Remark(Word.WAIT, f"{rig.source} has no first copy yet", f"banyan load {rig.source.department_code}")
        return
    rig.port.changes(watermark)
    yield Remark(Word.OK, f"files of {rig.source}: those of the first copy; no capture and no fence, nobody may write")


def _masters(rig: Rig) -> Iterator[Remark]:
    """Name the accounts of a PostgreSQL that can take the triggers of the fences away."""
    from connectors.postgresql_fence import PostgreSQLFence

    owned: dict[str, set[str]] = {}
    powers: set[str] = set()
    for found in rig.closures:
        fence = rig.fence(found.name)
        try:
            masters = fence.find_masters(found.tables) if isinstance(fence, PostgreSQLFence) else []
        finally:
            fence.disconnect()
        for master in masters:
            owned.setdefault(master.account, set()).update(master.owned)
            powers |= {master.account} if master.is_superuser else set()
    if not owned:
        return
    told = ", ".join(
        f"{name} (superuser)" if name in powers else f"{name} (owner of {len(tables)} tables)"
        for name, tables in sorted(owned.items())
    )
    sentence = f"fences of {rig.source}: triggers are not enough against {told}: they can disable or drop them"
    yield Remark(
        Word.WAIT, sentence, "let nobody log in as these while banyan moves the closures; doctor sees it after"
    )


def _fence(rig: Rig, name: str) -> Remark:
    fence = rig.fence(name)
    try:
        defects = fence.check_installed(rig.fenced_tables(name))
        state = fence.read()
    except BanyanError as error:
        return Remark(Word.NO, f"fence of {name}: {error.message}", error.hint)
    finally:
        fence.disconnect()
    if defects:
        told = "; ".join(f"{defect.table}: {defect.problem}" if defect.table else defect.problem for defect in defects)
        return Remark(Word.NO, f"fence of {name}: {told}", f"banyan source grants {rig.source} --level R4")
    if state.nonce != rig.slices(name)[0].nonce:
        return Remark(Word.NO, f"fence of {name}: it belongs to another incarnation of this database", "banyan guard")
    return Remark(Word.OK, f"fence of {name}: on {len(rig.fenced_tables(name))} tables, {state.mode.value}")
