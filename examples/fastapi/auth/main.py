"""The AUTH service. The gateway verifies tokens and names the caller; nothing here checks a token."""

from typing import Annotated

from fastapi import FastAPI, Header, HTTPException
from pydantic import BaseModel
from sqlalchemy import text

from database import engine
from prefix import ForwardedPrefix

app = FastAPI(title="AUTH service")
app.add_middleware(ForwardedPrefix)


class Credentials(BaseModel):
    username: str
    password: str


@app.get("/users")
def users():
    return {"message": "Welcome from AUTH service"}


@app.get("/users/me")
def me(
    x_user_id: Annotated[str | None, Header()] = None,
    x_user_scope: Annotated[str, Header()] = "",
    x_user_email: Annotated[str | None, Header()] = None,
):
    if x_user_id is None:  # the gateway always sends it on this route, so the request did not come through it
        raise HTTPException(401, "X-User-Id is missing; call through the gateway")
    return {"subject": x_user_id, "scope": x_user_scope.split(), "email": x_user_email}


@app.post("/login")
def login(credentials: Credentials):
    # Only a welcome: people sign in at the gateway (/login, /accounts/login), which issues the tokens.
    return {"message": f"Welcome from AUTH service, {credentials.username}"}


@app.get("/health")
def health():
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
    return {"status": "ok"}
