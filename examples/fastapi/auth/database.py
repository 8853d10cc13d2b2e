"""The tables of this service, in the schema `public`, the default of Alembic and SQLAlchemy.

The gateway's tables are in the same database, in the schema `gateway`. Tables of the same name, such as `accounts`, do not
collide.
"""

import os

from sqlalchemy import ForeignKey, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

# Railway and the gateway write postgres:// or postgresql://; SQLAlchemy needs the driver as well.
_, _, rest = os.environ["DATABASE_URL"].partition("://")
engine = create_engine(f"postgresql+psycopg://{rest}", pool_pre_ping=True)


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"

    id: Mapped[str] = mapped_column(primary_key=True)  # X-User-Id from the gateway
    nickname: Mapped[str]


class Account(Base):
    __tablename__ = "accounts"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    points: Mapped[int] = mapped_column(default=0)
