"""The tables of this service, in its own schema.

A second service in `public` would share Alembic's table `alembic_version` with the first, and each `--autogenerate` would drop
the other's tables. `search_path` makes our schema the default: for the tables, for Alembic's own table, and for comparisons.
"""

import os

from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

SCHEMA = "shop"

# Railway and the gateway write postgres:// or postgresql://; SQLAlchemy needs the driver as well.
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
