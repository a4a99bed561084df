"""Publishing ownership: the routes of all slices, brought to every proxy of the project, again and again.

Each change of a slice is announced on the channel `banyan_ownership` by the transaction that makes it (LISTEN/NOTIFY),
so that applications and the guard hear of it when it is committed and not before.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import psycopg

from banyan.errors import BanyanError, SourceUnavailable
from cutover.routing.haproxy import HAProxy
from cutover.routing.routes import Route, routes_of
from store.postgres import transaction
from store.slices import OWNERSHIP_CHANNEL, read_slices
from sync.workspace import Workspace

CONVERGENCE_SECONDS = 5.0
"""How long a proxy that was down may hold an old map after it answers again."""


@dataclass(frozen=True, slots=True)
class Published:
    """What one proxy was told, or why it was not."""

    proxy: str
    is_reached: bool
    has_changed: bool
    reason: str = ""


def read_routes(workspace: Workspace) -> dict[str, Route]:
    """Read the route of every registered slice; changes nothing."""
    with transaction(workspace.engine("banyan_guard")) as connection:
        return routes_of(read_slices(connection))


def publish_routes(workspace: Workspace, routes: Mapping[str, Route] | None = None) -> tuple[Published, ...]:
    """Bring the routes to every proxy of the project; one that does not answer does not hide the others."""
    wanted = read_routes(workspace) if routes is None else routes
    return tuple(_publish(HAProxy(config), wanted) for config in workspace.project.proxies)


def _publish(proxy: HAProxy, routes: Mapping[str, Route]) -> Published:
    try:
        return Published(proxy.config.name, is_reached=True, has_changed=proxy.publish(routes))
    except SourceUnavailable as error:
        return Published(proxy.config.name, is_reached=False, has_changed=False, reason=error.message)


def follow_ownership(
    workspace: Workspace, stop: threading.Event, *, told: Callable[[tuple[Published, ...]], None]
) -> None:
    """Publish at every announced change, and every few seconds for a proxy that was away, until told to stop.

    A store that does not answer is asked again; what the proxies hold stays as it was meanwhile.
    """
    while not stop.is_set():
        try:
            _follow(workspace, stop, told)
        except (psycopg.OperationalError, BanyanError):
            stop.wait(CONVERGENCE_SECONDS)


def _follow(workspace: Workspace, stop: threading.Event, told: Callable[[tuple[Published, ...]], None]) -> None:
    url = workspace.store_url("banyan_guard").set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"listen {OWNERSHIP_CHANNEL}")
        while not stop.is_set():
            told(publish_routes(workspace))
            next(iter(connection.notifies(timeout=min(CONVERGENCE_SECONDS, 1.0), stop_after=1)), None)
