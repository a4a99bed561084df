"""The copy of the old side that a rehearsal works on: made from a dump or inside its server, and deleted at last."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import make_url

from connectors.postgresql_encoding import parted, with_encoding
from store.postgres import open_engine, transaction
from sync.assembly import Rig
from sync.workspace import LegacyUrls
from wire.cluster import Cluster
from wire.duplicate import copy_database

_LEGACY: Final = "legacy"
_FORGET: Final = ("delete from banyan.position",)


@dataclass(frozen=True, slots=True)
class OldSide:
    """The copy of an old side: how each role reaches it, and what the project says of it instead."""

    urls: LegacyUrls = field(repr=False)
    said: Mapping[str, str]


@contextmanager
def copied_side(rig: Rig, server: Cluster, *, folder: Path) -> Iterator[OldSide]:
    """Copy an old side: a PostgreSQL into an embedded server, a MariaDB beside itself, files into a folder."""
    config, urls = rig.workspace.source_config(rig.source), rig.workspace.legacy_urls(rig.source)
    if config.medium == "sqlite":
        from connectors.sqlite_copy import copy_file, copy_files

        target = folder / (_LEGACY if config.files else Path(urls.reader).name)
        if config.files:
            copy_files(Path(urls.reader), config.files, target)
        else:
            copy_file(Path(urls.reader), target)
        yield OldSide(LegacyUrls(*[str(target)] * 5), {"url": target.name})
        return
    officer = make_url(urls.application).username or ""
    if config.medium == "mariadb":
        from connectors.mariadb_copy import copied_schema  # its driver is an extra of the installation

        copy = f"{config.schema_name[:40]}_rehearsal"

        def beside(url: str) -> str:
            return make_url(url).set(database=copy).render_as_string(hide_password=False)

        with copied_schema(urls.admin, config.schema_name, copy=copy, officer=officer):
            each = (urls.reader, urls.reverse, urls.guard, urls.admin, urls.application)
            yield OldSide(LegacyUrls(*map(beside, each)), {"schema_name": copy})
        return

    admin, encoding = parted(make_url(urls.admin))

    def embedded(role: str) -> str:
        return with_encoding(server.url(_LEGACY, role).render_as_string(hide_password=False), encoding)

    copy_database(admin, server, _LEGACY)
    plain = server.url(_LEGACY).update_query_dict({"client_encoding": "UTF8"})  # whatever the copy keeps
    with transaction(open_engine(plain, pool_size=0)) as connection:
        for statement in _FORGET:  # the way back begins anew
            connection.execute(sa.text(statement))
    roles = ("banyan_reader", "banyan_reverse", "banyan_guard", "postgres", officer or "postgres")
    yield OldSide(LegacyUrls(*map(embedded, roles)), {})
