"""Who sends a request, and what they may do: ProtectedRouter, PrincipalDep, requires."""

import logging
from collections.abc import Callable, Coroutine, Iterable, Sequence
from http import HTTPStatus
from typing import Annotated, Any, NoReturn

from fastapi import APIRouter, HTTPException, Request, Response, Security
from fastapi.params import Depends
from fastapi.routing import APIRoute
from fastapi.security import SecurityScopes
from fastapi.security.base import SecurityBase
from starlette.requests import HTTPConnection

from app.core.config import settings
from app.core.http.routing import FeatureRouter
from app.core.http.security_scheme import SCHEME, SCHEME_NAME
from app.core.oidc.access_tokens import AccessTokens, InvalidTokenError, Principal
from app.core.oidc.signing_keys import KeysUnavailableError, SigningKeys

__all__ = ["Principal", "PrincipalDep", "ProtectedRouter", "requires"]

logger = logging.getLogger(__name__)
# In the scope: the names in its `state` are those of the service.
PRINCIPAL = "app.core.principal"


def _access_tokens() -> AccessTokens:
    if settings.AUTH_ISSUER is None:
        # Imported here so that it is not even loaded where AUTH_ISSUER is set.
        from app.core.oidc.local_issuer import LocalIssuer, local_access_tokens

        return local_access_tokens(LocalIssuer(), leeway=settings.AUTH_LEEWAY)
    return AccessTokens(
        SigningKeys(
            settings.AUTH_ISSUER, settings.AUTH_KEYS_URL, settings.AUTH_ALGORITHMS
        ),
        issuer=settings.AUTH_ISSUER,
        audiences=settings.AUTH_AUDIENCE,
        clients=settings.AUTH_CLIENTS,
        algorithms=settings.AUTH_ALGORITHMS,
        permissions_claim=settings.AUTH_PERMISSIONS_CLAIM,
        leeway=settings.AUTH_LEEWAY,
    )


tokens = _access_tokens()


async def _authenticate(connection: HTTPConnection) -> Principal:
    """Return the sender; raise a 401, or a 503 while it cannot be told (RFC 6750)."""
    sent = connection.headers.getlist("Authorization")
    scheme, _, token = sent[0].partition(" ") if len(sent) == 1 else ("", "", "")
    token = token.lstrip(" ")
    if scheme.lower() != "bearer" or not token:
        raise _refused(HTTPStatus.UNAUTHORIZED, "Send an access token.")
    try:
        return await tokens.verify(token)
    except InvalidTokenError as error:
        logger.info("access token refused", extra={"reason": str(error)})
        raise _refused(
            HTTPStatus.UNAUTHORIZED,
            f"The access token {error.hint}.",
            error="invalid_token",
            error_description=f"The access token {error.hint}",
        ) from None
    except KeysUnavailableError:
        raise HTTPException(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "The issuer of access tokens is unavailable. Try again.",
        ) from None


def _refused(status: HTTPStatus, detail: str, **parameters: str) -> HTTPException:
    challenge = ", ".join(f'{name}="{value}"' for name, value in parameters.items())
    headers = {"WWW-Authenticate": f"Bearer {challenge}".strip()}
    return HTTPException(status, detail, headers)


def _permit(principal: Principal, needed: Iterable[str]) -> None:
    """Raise a 403 for a sender without all of the permissions."""
    if principal.permissions.issuperset(needed):
        return
    missing = [each for each in needed if each not in principal.permissions]
    raise _refused(
        HTTPStatus.FORBIDDEN,
        f"This requires the permission {', '.join(missing)}.",
        error="insufficient_scope",
        scope=" ".join(needed),
    )


class _PermissionCheck(SecurityBase):
    """Compares the permissions of the sender with those that a route requires."""

    model = SCHEME
    scheme_name = SCHEME_NAME

    async def __call__(
        self, connection: HTTPConnection, required: SecurityScopes
    ) -> Principal:
        # It is missing on a WebSocket, and on a route of another router.
        principal = connection.scope.get(PRINCIPAL)
        if principal is None:
            principal = await _authenticate(connection)
            connection.scope[PRINCIPAL] = principal
        _permit(principal, required.scopes)
        return principal


class _ProtectedRoute(APIRoute):
    """Judges the sender before the body is read and before a dependency runs.

    It takes over the permissions of its `dependencies`: solving even one of those costs
    FastAPI as much as all of this.
    """

    def __init__(
        self,
        path: str,
        endpoint: Callable[..., Any],
        *,
        dependencies: Sequence[Depends] | None = None,
        openapi_extra: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        needed: dict[str, None] = {}
        others = []
        for dependency in dependencies or ():
            if dependency.dependency is _check:
                needed |= dict.fromkeys(getattr(dependency, "scopes", ()))
            else:
                others.append(dependency)
        self._needed = list(needed)
        documented = openapi_extra or {}
        security = [{SCHEME_NAME: self._needed}, *documented.get("security", ())]
        super().__init__(
            path,
            endpoint,
            dependencies=others,
            openapi_extra=documented | {"security": security},
            **options,
        )

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def judge_and_handle(request: Request) -> Response:
            principal = await _authenticate(request)
            _permit(principal, self._needed)
            request.scope[PRINCIPAL] = principal
            return await handle(request)

        return judge_and_handle


_check = _PermissionCheck()
PrincipalDep = Annotated[Principal, Security(_check)]


def requires(*permissions: str) -> Any:
    """Return a dependency that responds with 403 to a sender without the permissions.

    For a route, `dependencies=[requires("lamps:write")]`; for one that needs to know the
    sender, `writer: Annotated[Principal, requires("lamps:write")]`.
    """
    return Security(_check, scopes=permissions)


class ProtectedRouter(FeatureRouter):
    """A FeatureRouter whose routes respond with 401 to a request without a valid token.

    With `requires`, all of them need that permission. A route for everybody is declared
    as in the OpenAPI document: `openapi_extra={"security": []}`. Raises TypeError for what
    it could not protect.
    """

    def __init__(self, *, requires: str | None = None, **options: Any) -> None:
        _refuse_route_class(options.get("route_class"))
        super().__init__(**options)
        self._required = Security(_check, scopes=[requires] if requires else [])

    def add_api_route(
        self, path: str, endpoint: Callable[..., Any], **options: Any
    ) -> None:
        """Add a route, as any router does."""
        if not is_public(options.get("openapi_extra")):
            _refuse_route_class(options.get("route_class_override"))
            options["route_class_override"] = _ProtectedRoute
            self._add_check(options)
        super().add_api_route(path, endpoint, **options)

    def add_api_websocket_route(
        self, path: str, endpoint: Callable[..., Any], *args: Any, **options: Any
    ) -> None:
        """Add a WebSocket, as any router does."""
        self._add_check(options)
        super().add_api_websocket_route(path, endpoint, *args, **options)

    def include_router(self, router: APIRouter, **options: Any) -> None:
        """Include the routes of another ProtectedRouter without public routes."""
        if not isinstance(router, ProtectedRouter) or any(
            is_public(getattr(route, "openapi_extra", None)) for route in router.routes
        ):
            raise TypeError(
                "A ProtectedRouter includes only ProtectedRouters without public routes: "
                f"include the router {router.prefix or 'without a prefix'} in app/api.py."
            )
        self._add_check(options)
        super().include_router(router, **options)

    def _refuse(self, *arguments: Any, **options: Any) -> NoReturn:
        where, *_ = [*arguments, *options.values()]
        raise TypeError(
            f"{where} would be open to everybody, because only FastAPI's own routes can ask "
            "for a token: add it to another router or to the application."
        )

    add_route = add_websocket_route = mount = host = frontend = _refuse

    def _add_check(self, options: dict[str, Any]) -> None:
        options["dependencies"] = [self._required, *(options.get("dependencies") or ())]


def _refuse_route_class(route_class: type[APIRoute] | None) -> None:
    if route_class is not None:
        raise TypeError("A ProtectedRouter has a route_class of its own.")


def is_public(openapi_extra: dict[str, Any] | None) -> bool:
    """Return whether a route is declared to be for everybody."""
    return (openapi_extra or {}).get("security") == []
