"""Alembic migrations of the store, their SQL and the roles."""
