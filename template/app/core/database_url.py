"""The URL of a PostgreSQL server, as people and providers write it."""

import re
from itertools import chain

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

DRIVER = "postgresql+asyncpg"
# Any other would fail at every connection, and so at every request.
OPTIONS = {
    *("database", "direct_tls", "gsslib", "host", "krbsrvname", "passfile", "password"),
    *("port", "prepared_statement_cache_size", "service", "servicefile", "ssl"),
    *("target_session_attrs", "user"),
}
CHOICES = {
    "ssl": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "target_session_attrs": (
        *("any", "primary", "standby", "prefer-standby", "read-write", "read-only"),
    ),
}
# libpq's form of several hosts, which SQLAlchemy expects in the query.
SEVERAL_HOSTS = re.compile(
    r"(?P<user>[^:]+://(?:[^:/@]*(?::[^@]*)?@)?+)(?P<hosts>[^/?]*,[^/?]*)(?P<rest>.*)"
)
STRAY = re.compile(r"""[\s"'#]""")


def parse_database_url(value: str | URL) -> URL:
    """Return the URL in the form that SQLAlchemy and asyncpg need.

    Raises ValueError if it can never work. The text continues a sentence that starts
    with the name of the setting, and never shows the password.
    """
    try:
        url = make_url(_with_hosts_in_query(value) if isinstance(value, str) else value)
    except (ArgumentError, ValueError):
        # The error's own text would show the value, and with it the password.
        raise ValueError("is not postgresql://user:password@host/database") from None
    if url.drivername in {"postgres", "postgresql"}:
        url = url.set(drivername=DRIVER)
    if url.drivername != DRIVER:
        raise ValueError(f"must start with postgresql:// or {DRIVER}://")
    if "sslmode" in url.query:  # libpq's name for what asyncpg calls ssl
        ssl = url.query["sslmode"]
        url = url.difference_update_query(["sslmode"]).update_query_dict({"ssl": ssl})
    _check(url)
    return url


def _with_hosts_in_query(value: str) -> str:
    value = value.strip()
    if not (found := SEVERAL_HOSTS.fullmatch(value)):
        return value
    hosts = [
        host if ":" in host else f"{host}:5432" for host in found["hosts"].split(",")
    ]
    separator = "&" if "?" in found["rest"] else "?"
    return f"{found['user']}{found['rest']}{separator}host={'&host='.join(hosts)}"


def _check(url: URL) -> None:
    if "@" in (url.host or ""):
        raise ValueError("has an @ in its password, which must be written as %40")
    after_password = chain([url.host, url.database], *url.normalized_query.values())
    if any(STRAY.search(part or "") for part in after_password):
        raise ValueError(
            "has a space, a quote or a # after its password: some programs read quotes "
            "and comments as part of the value"
        )
    if unknown := sorted(url.query.keys() - OPTIONS):
        raise ValueError(
            f"has options that asyncpg does not know: {', '.join(unknown)}. Remove them; "
            "those for certificates can be set as PGSSLROOTCERT, PGSSLCERT and PGSSLKEY"
        )
    for option, choices in CHOICES.items():
        if url.query.get(option, choices[0]) not in choices:
            raise ValueError(f"needs as its {option} one of {', '.join(choices)}")
    if (url.port or 0) > 65535:
        raise ValueError(f"has a port above 65535: {url.port}")
    try:
        # Also reads the hosts and ports in the query.
        url.get_dialect()().create_connect_args(url)
    except (ArgumentError, ValueError) as error:
        raise ValueError(f"cannot be used: {error}") from None
