"""Header lines of a request that are one list."""

from starlette.types import Scope

# Lists that may come on several lines, of which a parameter of a route is only one
# (RFC 9110 §5.3). An Idempotency-Key is not a list: two keys, joined, are refused.
JOINED = {b"if-match", b"if-none-match", b"idempotency-key"}


def join_lines(scope: Scope) -> None:
    """Join the lines of a request that are one list to one line."""
    headers = scope["headers"]
    joined: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        if name in JOINED:
            joined.setdefault(name, []).append(value)
    scope["headers"] = [header for header in headers if header[0] not in joined]
    scope["headers"] += [(name, b", ".join(lines)) for name, lines in joined.items()]
