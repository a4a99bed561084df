"""Alembic environment: runs on a connection given by store.install, as banyan_owner, in one transaction."""

from alembic import context

from store.migrations.metadata import compared

connection = context.config.attributes["connection"]
connection.exec_driver_sql("set local role banyan_owner")
connection.exec_driver_sql("create schema if not exists mig")
context.configure(connection=connection, **compared(connection))
with context.begin_transaction():
    context.run_migrations()
