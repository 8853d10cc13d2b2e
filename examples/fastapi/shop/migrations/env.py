"""Connects Alembic to the database. `search_path` (database.py) restricts it to our schema."""

from logging.config import fileConfig

from alembic import context
from sqlalchemy import text

from database import SCHEMA, Base, engine

fileConfig(context.config.config_file_name, disable_existing_loggers=False)

with engine.connect() as connection:
    connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
    connection.commit()
    context.configure(connection=connection, target_metadata=Base.metadata)
    with context.begin_transaction():
        context.run_migrations()
