"""`banyan switch routes`: where the requests of each slice go, and whether the proxies hold the same."""

from typing import Annotated

import typer

from cli.judgements import AsJson
from cli.places import current_project
from cli.tables import print_json, print_line, print_next, print_table

Publish = Annotated[bool, typer.Option("--publish", help="Bring the routes to every proxy now.")]


def routes_command(publish: Publish = False, as_json: AsJson = False) -> None:
    """Show the route of every slice: legacy, canonical, or hold while nobody can write. Changes nothing by itself.

    `banyan guard` publishes them at every change; --publish does it once. Exit 4 when a proxy does not answer.
    """
    from cutover.routing.publish import publish_routes, read_routes
    from sync.workspace import opened

    with opened(current_project()) as workspace:
        routes = read_routes(workspace)
        told = publish_routes(workspace, routes) if publish else ()
    if as_json:
        proxies = [{"proxy": one.proxy, "reached": one.is_reached, "changed": one.has_changed} for one in told]
        print_json({"routes": {name: route.value for name, route in routes.items()}, "proxies": proxies})
    else:
        print_table("", ("slice", "route"), [(name, route.value) for name, route in sorted(routes.items())])
        for one in told:
            said = one.reason or ("new routes" if one.has_changed else "held them already")
            print_line(f"{'OK' if one.is_reached else 'NO'}  {one.proxy}  {said}")
        if not publish:
            print_next("banyan switch routes --publish")
    if any(not one.is_reached for one in told):
        raise typer.Exit(4)
