"""The shop: callers list and add their own orders."""

from typing import Annotated

from fastapi import Depends, FastAPI, Header
from pydantic import BaseModel
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from database import Order, engine
from prefix import ForwardedPrefix

app = FastAPI(title="Shop")
app.add_middleware(ForwardedPrefix)


def session():
    with Session(engine) as session:
        yield session


Database = Annotated[Session, Depends(session)]
# Not in the docs: the gateway sets this header, and drops it from clients' requests.
UserId = Annotated[str, Header(alias="X-User-Id", include_in_schema=False)]


class NewOrder(BaseModel):
    item: str


@app.get("/orders/")
def orders(database: Database, user_id: UserId):
    found = database.scalars(select(Order).where(Order.user_id == user_id).order_by(Order.id))
    return [{"id": order.id, "item": order.item} for order in found]


@app.post("/orders/", status_code=201)
def add(new: NewOrder, database: Database, user_id: UserId):
    order = Order(user_id=user_id, item=new.item)
    database.add(order)
    database.commit()
    return {"id": order.id, "item": order.item}


@app.get("/health")
def health(database: Database):
    database.execute(text("SELECT 1"))
    return {"status": "ok"}
