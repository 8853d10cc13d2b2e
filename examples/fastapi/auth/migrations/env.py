"""Connects Alembic to the database. It compares only the schema `public`: leave include_schemas off, so that it neither sees
nor drops the tables of others in the same database."""

from logging.config import fileConfig

from alembic import context

from database import Base, engine

fileConfig(context.config.config_file_name, disable_existing_loggers=False)

with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=Base.metadata)
    with context.begin_transaction():
        context.run_migrations()
