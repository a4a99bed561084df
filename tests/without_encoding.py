"""A legacy database that has no encoding (SQL_ASCII): its people wrote bytes, and a witness reads them as bytes."""

from dataclasses import dataclass

import psycopg
from legacies import ROLES, SCHEMA, LegacyDatabase
from sqlalchemy.engine import make_url

from wire.cluster import Cluster


@dataclass(frozen=True)
class BytesDatabase(LegacyDatabase):
    """The database of tests/legacies.py in SQL_ASCII; each character of the witness is one byte."""

    encoding: str = "cp1252"

    def url(self, role: str = "postgres") -> str:
        address = self.address.set(username=role)
        told = address.update_query_dict({"encoding": self.encoding}) if self.encoding else address
        return told.render_as_string(hide_password=False)

    def connect(self, role: str = "postgres", *, autocommit: bool = True) -> psycopg.Connection:
        return psycopg.connect(
            host=self.address.host,
            port=self.address.port,
            user=role,
            dbname=self.address.database,
            autocommit=autocommit,
            client_encoding="latin1",
        )

    def keep(self, table: str, *rows: tuple, role: str = "orion_app") -> None:
        """Insert rows as a program of its people does: bytes stand as they are given."""
        with self.connect(role) as connection:
            for row in rows:
                cells = [cell.decode("latin-1") if isinstance(cell, bytes) else cell for cell in row]
                connection.execute(f"insert into orion.{table} values ({', '.join(['%s'] * len(cells))})", cells)

    def kept(self, question: str) -> list[tuple]:
        """Give what a question answers, texts as their bytes."""
        return [
            tuple(cell.encode("latin-1") if isinstance(cell, str) else cell for cell in row)
            for row in self.run(question)
        ]


def make_bytes_template(server: Cluster) -> BytesDatabase:
    """Make the database that each test copies, with its accounts."""
    place = BytesDatabase(make_url(server.url("bytes_template").render_as_string(hide_password=False)))
    server.create_database("bytes_template", has_encoding=False)
    for role in ROLES:
        place.run(f"do $$ begin create role {role} login; exception when duplicate_object then null; end $$")
    place.run(SCHEMA)
    return place


def make_bytes_database(template: BytesDatabase, name: str, encoding: str) -> BytesDatabase:
    """Copy the template; `encoding` is what a project would declare."""
    LegacyDatabase(template.address.set(database="postgres")).run(
        f"create database {name} template {template.address.database}"
    )
    return BytesDatabase(template.address.set(database=name), encoding)
