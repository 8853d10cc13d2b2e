"""The tables of this service, in the schema `public`, as Alembic and SQLAlchemy have it by default.

The gateway's tables are in the same database, in the schema `gateway`. It has tables `users` and `accounts` of its own or not:
these here are ours, and neither sees the other's.
"""

import os

from sqlalchemy import ForeignKey, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

# Railway and the gateway write postgres:// or postgresql://, SQLAlchemy wants to know the driver, too.
_, _, rest = os.environ["DATABASE_URL"].partition("://")
engine = create_engine(f"postgresql+psycopg://{rest}", pool_pre_ping=True)


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"

    id: Mapped[str] = mapped_column(primary_key=True)  # what the gateway sends as X-User-Id
    nickname: Mapped[str]


class Account(Base):
    __tablename__ = "accounts"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    points: Mapped[int] = mapped_column(default=0)
