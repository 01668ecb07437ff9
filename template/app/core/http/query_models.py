"""Models of query parameters, as many as a service has lists."""

from inspect import Parameter, Signature, isclass
from typing import Annotated, Any, TypeVar, get_args

from fastapi import Depends, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel, Field, ValidationError
from pydantic.fields import FieldInfo

# FastAPI 0.165 remembers the fields of as many models. With one more it makes them again
# for each request, and its OpenAPI document fails with a KeyError.
MAX_PARAMETER_MODELS = 128

Model = TypeVar("Model", bound=BaseModel)


def query_model(model: type[Model]) -> Any:
    """Read a model from the query: `query: Annotated[ItemQuery, query_model(ItemQuery)]`.

    It does what `Query()` does, for any number of models.
    """
    names = {name: _alias(name, field) for name, field in model.model_fields.items()}

    async def read(request: Request, **values: object) -> Model:
        sent = request.query_params
        unknown = sent.keys() - names.values()
        try:
            return model.model_validate(
                {alias: values[name] for name, alias in names.items() if alias in sent}
                | {name: sent[name] for name in unknown}
            )
        except ValidationError as error:
            errors = error.errors(include_url=False)
            raise RequestValidationError(
                [{**each, "loc": ("query", *each["loc"])} for each in errors]
            ) from None

    # What FastAPI reads, validates and documents: a parameter for each field.
    request = Parameter("request", Parameter.KEYWORD_ONLY, annotation=Request)
    vars(read)["__signature__"] = Signature([request, *_parameters(model)])
    return Depends(read)


def _alias(name: str, field: FieldInfo) -> str:
    alias = field.validation_alias or name
    if not isinstance(alias, str):
        raise TypeError(f"A query parameter has one alias, unlike the field {name}.")
    return alias


def _parameters(model: type[BaseModel]) -> list[Parameter]:
    parameters = []
    for name, field in model.model_fields.items():
        attributes = field.asdict()["attributes"]
        default = attributes.pop("default", Parameter.empty)
        annotation = (field.annotation, *field.metadata, Field(**attributes), Query())
        parameters.append(
            Parameter(
                name,
                Parameter.KEYWORD_ONLY,
                default=default,
                annotation=Annotated[annotation],  # ty: ignore[invalid-type-form]
            )
        )
    return parameters


def excess_of_parameter_models(app: FastAPI) -> str | None:
    """Return what to do about too many models as `Query()`, `Header()` or `Cookie()`."""
    models = set()
    dependants = [
        route.dependant
        for route in iter_route_contexts(app.routes)
        if hasattr(route, "dependant")
    ]
    while dependants:
        dependant = dependants.pop()
        dependants += dependant.dependencies
        for field in (
            *dependant.query_params,
            *dependant.header_params,
            *dependant.cookie_params,
        ):
            kind = field.field_info.annotation
            models |= {
                each
                for each in (kind, *get_args(kind))
                if isclass(each) and issubclass(each, BaseModel)
            }
    if len(models) <= MAX_PARAMETER_MODELS:
        return None
    return (
        f"{len(models)} models are used as `Query()`, `Header()` or `Cookie()`. With more "
        f"than {MAX_PARAMETER_MODELS}, FastAPI is slow and cannot make the OpenAPI "
        "document. Use `query_model(…)` of app.core.http.query_models instead of `Query()`."
    )
