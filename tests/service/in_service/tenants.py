"""Rows of tenants, as the how-to guide separates them; copied into a service's tests."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from app.core.application import set_up
from app.core.auth import ProtectedRouter
from app.core.database import Base, engine
from app.tenants import TenantSessionDep
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import select, text
from sqlalchemy.orm import Mapped, mapped_column
from tests.identities import bearer

from tests.conftest import client_of

SQL = (Path(__file__).parents[2] / "tenants.sql").read_text()


class Lamp(Base):
    __tablename__ = "lamp"

    name: Mapped[str] = mapped_column(primary_key=True)
    tenant: Mapped[str] = mapped_column(
        server_default=text("current_setting('app.tenant')")
    )


router = ProtectedRouter(prefix="/lamps")


@router.post("/{name}")
async def create(name: str, session: TenantSessionDep) -> str:
    session.add(Lamp(name=name))
    return name


@router.get("")
async def names(session: TenantSessionDep) -> list[str]:
    return list(await session.scalars(select(Lamp.name)))


app = FastAPI()
app.include_router(router)
set_up(app)


@pytest.fixture
async def client() -> AsyncGenerator[AsyncClient]:
    async with engine.begin() as connection:
        await connection.run_sync(Lamp.__table__.create)
        for statement in SQL.split(";\n"):
            if statement.strip():
                await connection.execute(text(statement))
    async with client_of(app) as client:
        yield client
    async with engine.begin() as connection:
        await connection.run_sync(Lamp.__table__.drop)
        await connection.execute(text("DROP OWNED BY tenant_user"))
        await connection.execute(text("DROP ROLE tenant_user"))


async def test_each_tenant_sees_its_own_rows(client: AsyncClient) -> None:
    ann, bob = (bearer(name, tenant=name) for name in ("ann", "bob"))

    for headers, name in ((ann, "red"), (bob, "blue")):
        assert (await client.post(f"/lamps/{name}", headers=headers)).is_success

    assert (await client.get("/lamps", headers=ann)).json() == ["red"]
    assert (await client.get("/lamps", headers=bob)).json() == ["blue"]
    assert (await client.get("/lamps")).status_code == 403
    # The same connection afterwards: neither the role nor the tenant is left.
    async with engine.connect() as connection:
        assert len((await connection.scalars(select(Lamp.name))).all()) == 2
        left = "SELECT current_setting('app.tenant', true), current_user = session_user"
        assert (await connection.execute(text(left))).one() == ("", True)
