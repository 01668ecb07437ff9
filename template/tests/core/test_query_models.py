"""Query parameters declared by a model, beside FastAPI's own way to do it."""

import logging
from typing import Annotated, Any, Self

import pytest
from fastapi import FastAPI, Query
from pydantic import BaseModel, ConfigDict, Field, create_model, model_validator

from app.core.application import set_up
from app.core.db.pagination import PageQuery
from app.core.http.query_models import MAX_PARAMETER_MODELS, query_model
from tests.conftest import client_of


class BookQuery(PageQuery):
    title: Annotated[str, Field(max_length=5, description="The start of the title.")]
    author: int | None = Field(None, ge=1, alias="written-by")
    tags: Annotated[list[str], Field(default_factory=list, max_length=2)]


class YearsQuery(BaseModel):
    first: int = 0
    last: int = 9999

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.first > self.last:
            raise ValueError("last is before first")
        return self


class OpenQuery(BaseModel):
    model_config = ConfigDict(extra="allow")

    title: str = ""


def application(*models: type[BaseModel], how: Any) -> FastAPI:
    """Make an application with a route for each model, at /0, /1 and so on."""
    app = FastAPI()
    for number, model in enumerate(models):

        async def get(query: Any) -> dict[str, Any]:
            return query.model_dump() | {"sent": sorted(query.model_fields_set)}

        get.__annotations__["query"] = Annotated[model, how(model)]  # ty: ignore[invalid-type-form]
        app.get(f"/{number}")(get)
    set_up(app)
    return app


def as_fastapi_does(_: type[BaseModel]) -> Any:
    return Query()


MODELS = [BookQuery, YearsQuery, OpenQuery]


@pytest.mark.parametrize(
    "query",
    [
        "/0?title=Dune",
        "/0?title=Dune&written-by=1&tags=a&tags=b&limit=5&cursor=x",
        "/0",
        "/0?title=Dune%20II&written-by=0&limit=no",
        "/0?title=Dune&author=1",
        "/0?title=Dune&titel=Dune",
        "/1",
        "/1?first=3&last=2",
        "/2?title=Dune&anything=else",
    ],
)
async def test_a_model_is_read_as_fastapi_reads_it(query: str) -> None:
    responses = []
    for how in (as_fastapi_does, query_model):
        async with client_of(application(*MODELS, how=how)) as client:
            responses.append(await client.get(query))

    fastapi, ours = responses
    assert ours.status_code == fastapi.status_code
    assert ours.json() == {**fastapi.json(), **kept(ours.json())}


def kept(body: dict[str, Any]) -> dict[str, Any]:
    """Return what differs from one request to the next."""
    return {key: body[key] for key in body.keys() & {"request_id"}}


def test_a_model_is_documented_as_fastapi_documents_it() -> None:
    paths = [
        application(*MODELS, how=how).openapi()["paths"]
        for how in (as_fastapi_does, query_model)
    ]

    assert paths[0] == paths[1]


def many_models(count: int) -> list[type[BaseModel]]:
    return [
        create_model(f"Query{n}", __base__=PageQuery, title=(str, ""))
        for n in range(count)
    ]


def test_there_may_be_any_number_of_models() -> None:
    count = 2 * MAX_PARAMETER_MODELS

    document = application(*many_models(count), how=query_model).openapi()

    paths = [document["paths"][f"/{n}"]["get"] for n in range(count)]
    names = ["limit", "cursor", "title"]
    assert [[p["name"] for p in path["parameters"]] for path in paths] == [
        names
    ] * count


async def test_more_than_fastapi_can_document_are_a_sentence(
    caplog: pytest.LogCaptureFixture,
) -> None:
    full = application(*many_models(MAX_PARAMETER_MODELS), how=as_fastapi_does)
    overfull = application(*many_models(MAX_PARAMETER_MODELS + 1), how=as_fastapi_does)

    assert len(full.openapi()["paths"]) >= MAX_PARAMETER_MODELS
    with pytest.raises(RuntimeError, match=r"129 models.*Use `query_model"):
        overfull.openapi()
    # Setting an application up replaces the handlers.
    logging.getLogger().addHandler(caplog.handler)
    async with overfull.router.lifespan_context(overfull):
        assert "129 models" in caplog.text
