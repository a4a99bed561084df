"""How bytes travel: Arrow to and from COPY, and an embedded PostgreSQL; no word of the domain."""
