"""How Alembic reaches the database. It looks at the schema `public` alone: leave include_schemas off, and it neither sees nor
drops what others keep in the same database."""

from logging.config import fileConfig

from alembic import context

from database import Base, engine

fileConfig(context.config.config_file_name, disable_existing_loggers=False)

with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=Base.metadata)
    with context.begin_transaction():
        context.run_migrations()
