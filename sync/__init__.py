"""Movement along a route, either way: read, land, map, write, with position and data in one transaction."""
