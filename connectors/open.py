"""From the configuration of a source to its port and its fence."""

from banyan.config import SourceConfig, read_secret
from banyan.errors import ConfigurationError
from banyan.ports import LegacyFence, LegacyPort
from connectors.database import Guarded, mariadb_way
from connectors.postgresql import open_postgresql
from connectors.postgresql_encoding import with_encoding

_MEDIA = ("postgresql", "mariadb")


def open_source(source: SourceConfig) -> LegacyPort:
    """Open a legacy system for reading, and for write-back when its `reverse_url` is given."""
    _check_medium(source)
    if source.medium == "mariadb":
        from connectors.mariadb import open_mariadb  # its driver is an extra of the installation

        way = mariadb_way(source.capture, source.schema_name)
        return open_mariadb(_url(source.url), source.schema_name, reverse_url=_url(source.reverse_url), way=way)
    said = source.declared_encoding
    reverse_url = with_encoding(_url(source.reverse_url), said)
    return open_postgresql(with_encoding(_url(source.url), said), source.schema_name, reverse_url=reverse_url)


def open_fence(source: SourceConfig, closure: str, *, probe_url: str = "") -> LegacyFence:
    """Open the fence of a closure of a legacy system; probed with `probe_url`, an ordinary application account.

    Without one the administrator's account is used, which the fence refuses like any other.
    """
    _check_medium(source)
    if not source.fence_url:
        raise ConfigurationError(
            f"the source has no fence_url: the fence of {closure} cannot be worked; nothing was changed",
            hint="add fence_url (role banyan_guard) to the source in banyan.yaml",
        )
    guard_url, probing = _url(source.fence_url), _url(probe_url or source.admin_url)
    if source.medium == "postgresql":
        guard_url, probing = (with_encoding(url, source.declared_encoding) for url in (guard_url, probing))
    return Guarded(source.medium, source.schema_name).open_fence(guard_url, closure, probe_url=probing)


def _check_medium(source: SourceConfig) -> None:
    if source.medium not in _MEDIA:
        raise ConfigurationError(
            f"there is no port for the medium {source.medium} yet; there is one for: {', '.join(_MEDIA)}",
            hint="banyan file check PATH reads single files",
            medium=source.medium,
        )


def _url(reference: str) -> str:
    url = read_secret(reference)
    if url.startswith("embedded:"):
        raise ConfigurationError(
            "an embedded server is named by its project and cannot be opened by its reference alone; nothing was opened"
        )
    return url
