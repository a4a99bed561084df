"""A project opened: its servers, its engines by role, its ports, rules and landing zone; all opened at first use."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url

from banyan.config import Project, SourceConfig, read_secret
from banyan.departments import SourceRef
from banyan.errors import ConfigurationError, StoreUnavailable
from connectors.postgresql_encoding import with_encoding
from connectors.transport import refuse_exposed
from mappings.model import RuleBook
from mappings.ruleset import load_rulebook
from mappings.several_files import spread
from store.install import LOGIN_ROLES
from store.landing import LandingZone, open_landing
from wire.cluster import Cluster, ClusterPlace, cluster_home
from wire.mariadb import MariaDBServer
from wire.pools import ask_after_a_pause

LEGACY_DATABASE = "orion"
_EMBEDDED = "embedded:"


@dataclass(frozen=True, slots=True)
class LegacyUrls:
    """How each role reaches one legacy system."""

    reader: str
    reverse: str
    guard: str
    admin: str
    application: str


class Workspace:
    """One project, opened for the roles that a command asks for."""

    is_copy: bool = False
    """Whether both sides are copies that nobody works with: what is rehearsed there rests on no evidence."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self._clusters: dict[str, Cluster] = {}
        self._mariadbs: dict[str, MariaDBServer] = {}
        self._engines: dict[str, sa.Engine] = {}
        self._books: dict[SourceRef, RuleBook] = {}
        self._landing: LandingZone | None = None

    def cluster(self, name: str) -> Cluster:
        """Give an embedded server of the project, started."""
        if name not in self._clusters:
            port = self.project.target.port if name == self._embedded_target() else None
            place = ClusterPlace(cluster_home(self.project.folder, name), port=port)
            self._clusters[name] = Cluster(place).start()
        return self._clusters[name]

    def mariadb(self, name: str) -> MariaDBServer:
        """Give an embedded MariaDB of the project, started; its programs are those of the machine."""
        if name not in self._mariadbs:
            self._mariadbs[name] = MariaDBServer(ClusterPlace(cluster_home(self.project.folder, name))).start()
        return self._mariadbs[name]

    def _embedded_target(self) -> str | None:
        url = self.project.target.url
        return url.removeprefix(_EMBEDDED) if url.startswith(_EMBEDDED) else None

    def store_url(self, role: str) -> URL:
        """Give the URL of the canonical store for a role; a remote store must say sslmode=verify-full."""
        embedded = self._embedded_target()
        if embedded is not None:
            return self.cluster(embedded).url(self.project.target.database, role)
        url = make_url(read_secret(self.project.target.url))
        if url.host not in ("127.0.0.1", "localhost", "::1", None) and url.query.get("sslmode") != "verify-full":
            raise ConfigurationError(
                f"the store on {url.host} is not asked to prove who it is; nothing was opened",
                hint="add ?sslmode=verify-full to the URL of the target",
            )
        password = url.password if role == url.username else read_secret(f"env:{role.upper()}_PASSWORD")
        return url.set(drivername="postgresql+psycopg", username=role, password=password)

    def create_store(self) -> URL:
        """Create the store's database when the server is embedded; gives the URL of a superuser."""
        embedded = self._embedded_target()
        if embedded is None:
            return make_url(read_secret(self.project.target.url))
        cluster = self.cluster(embedded)
        cluster.create_database(self.project.target.database)
        return cluster.url(self.project.target.database)

    def store_passwords(self) -> Mapping[str, str]:
        """Give the passwords the store's login roles are created with."""
        embedded = self._embedded_target()
        if embedded is not None:
            return {role: self.cluster(embedded).password(role) for role in LOGIN_ROLES}
        return {role: read_secret(f"env:{role.upper()}_PASSWORD") for role in LOGIN_ROLES}

    def engine(self, role: str) -> sa.Engine:
        """Give the engine of the canonical store for a role."""
        if role not in self._engines:
            engine = ask_after_a_pause(sa.create_engine(self.store_url(role), hide_parameters=True))
            try:
                with engine.connect():
                    pass
            except sa.exc.OperationalError as error:
                raise StoreUnavailable(
                    f"the canonical store does not answer role {role}; nothing was read or written",
                    hint="banyan doctor",
                ) from error
            self._engines[role] = engine
        return self._engines[role]

    def legacy_urls(self, source: SourceRef) -> LegacyUrls:
        """Give how each role reaches a legacy system."""
        config = self.project.source(source)
        embedded = config.url.removeprefix(_EMBEDDED) if config.url.startswith(_EMBEDDED) else ""
        if embedded and config.medium == "postgresql":
            return _urls(lambda role: self.cluster(embedded).url(LEGACY_DATABASE, role), "postgres", "orion_app")
        if embedded and config.medium == "mariadb":
            return _urls(lambda role: self.mariadb(embedded).url(config.schema_name, role), "root", "marel_app")

        def resolved(reference: str) -> str:
            url = read_secret(reference or config.url)
            if config.medium == "sqlite":  # one file for everybody: it knows no accounts
                return str(self.project.folder / url.removeprefix(_EMBEDDED))
            refuse_exposed(config, str(source), reference=reference or config.url, url=url)
            if config.medium == "postgresql":
                return with_encoding(url, config.declared_encoding)
            return url

        return LegacyUrls(
            reader=resolved(config.url),
            reverse=resolved(config.reverse_url),
            guard=resolved(config.fence_url),
            admin=resolved(config.admin_url),
            application=resolved(config.application_url),
        )

    def source_config(self, source: SourceRef) -> SourceConfig:
        """Give what the project says of a legacy system."""
        return self.project.source(source)

    def book(self, source: SourceRef) -> RuleBook:
        """Read the rules of a legacy system, once."""
        if source not in self._books:
            book = load_rulebook(self.rules_folder(source), department=source.department_code)
            self._books[source] = spread(book, self.project.source(source).file_names)
        return self._books[source]

    def rules_folder(self, source: SourceRef) -> Path:
        """Give the folder of a legacy system's rules: in the project, or shipped with banyan."""
        rules = self.project.source(source).rules
        own = self.project.folder / rules
        if own.is_dir():
            return own
        import mappings

        shipped = Path(mappings.__file__ or "").parent / "rules" / Path(rules).name
        if shipped.is_dir():
            return shipped
        raise ConfigurationError(
            f"there are no rules in {own}; nothing was read", hint=f"write rulesets in {own}, then: banyan map lint"
        )

    @property
    def landing(self) -> LandingZone:
        """Give the landing zone of the project."""
        if self._landing is None:
            self._landing = open_landing(self.project.landing, folder=self.project.folder)
        return self._landing

    @property
    def digest_key(self) -> bytes:
        """Give the project's key of row digests, made once and kept outside the store."""
        import os
        import secrets

        path = self.project.state_folder / "digest.key"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:
                return path.read_bytes()
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_bytes(32))
        return path.read_bytes()

    def close(self) -> None:
        """Close every connection; embedded servers go on running."""
        for engine in self._engines.values():
            engine.dispose()
        self._engines.clear()


def _urls(url_of: Callable[[str], URL], administrator: str, application: str) -> LegacyUrls:
    """Give how each role reaches an embedded server."""
    accounts = ("banyan_reader", "banyan_reverse", "banyan_guard", administrator, application)
    reader, reverse, guard, admin, officers = (
        url_of(account).render_as_string(hide_password=False) for account in accounts
    )
    return LegacyUrls(reader=reader, reverse=reverse, guard=guard, admin=admin, application=officers)


@contextmanager
def opened(project: Project) -> Iterator[Workspace]:
    """Open a project for one command and close its connections afterwards."""
    workspace = Workspace(project)
    try:
        yield workspace
    finally:
        workspace.close()
