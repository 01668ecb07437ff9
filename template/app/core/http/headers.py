"""Header lines: lists of a request that are joined, and defaults of every response."""

from starlette.types import Message, Scope

# Lists that may come on several lines, of which a parameter of a route is only one
# (RFC 9110 §5.3). An Idempotency-Key is not a list: two keys, joined, are refused.
JOINED = {b"if-match", b"if-none-match", b"idempotency-key"}
# After the OWASP REST Security Cheat Sheet. Strict-Transport-Security belongs where TLS
# ends, which is outside of this process.
DEFAULTS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"frame-ancestors 'none'"),
)


def join_lines(scope: Scope) -> None:
    """Join the lines of a request that are one list to one line."""
    headers = scope["headers"]
    if len({name for name, _ in headers}) == len(headers):
        return
    joined: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        if name in JOINED:
            joined.setdefault(name, []).append(value)
    scope["headers"] = [header for header in headers if header[0] not in joined]
    scope["headers"] += [(name, b", ".join(lines)) for name, lines in joined.items()]


def add_defaults(start: Message) -> None:
    """Add headers that a response does not set itself to its first message."""
    headers = start["headers"] = list(start.get("headers", ()))
    names = {name for name, _ in headers}
    headers += [default for default in DEFAULTS if default[0] not in names]
    if b"cache-control" not in names:
        # What has a validator may be kept, but is asked for again each time.
        is_validated = b"etag" in names or b"last-modified" in names
        kept = b"private, no-cache" if is_validated else b"no-store"
        headers.append((b"cache-control", kept))
