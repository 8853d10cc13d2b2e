"""The tables of this service, in a schema of its own.

A second service in `public` would share Alembic's table `alembic_version` with the first, and each `--autogenerate` would want to
drop the other's tables. With search_path everything without a schema is in ours: the tables, Alembic's own, and what it compares.
"""

import os

from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

SCHEMA = "shop"

# Railway and the gateway write postgres:// or postgresql://, SQLAlchemy wants to know the driver, too.
_, _, rest = os.environ["DATABASE_URL"].partition("://")
engine = create_engine(
    f"postgresql+psycopg://{rest}", pool_pre_ping=True, connect_args={"options": f"-c search_path={SCHEMA}"}
)


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(index=True)
    item: Mapped[str]
