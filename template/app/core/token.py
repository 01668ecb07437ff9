"""`uv run token`: an access token for the service on this machine."""

import argparse

from app.core.config import settings
from app.core.oidc.local_issuer import LocalIssuer


def main() -> None:
    """Print a token that is valid as long as AUTH_ISSUER is not set."""
    parser = argparse.ArgumentParser("token", description=__doc__)
    parser.add_argument("permissions", nargs="*", help="such as lamps:read lamps:write")
    parser.add_argument("--subject", default="developer", help="default: %(default)s")
    parser.add_argument("--hours", default=8, type=float, help="default: %(default)s")
    arguments = parser.parse_args()
    if settings.AUTH_ISSUER is not None:
        parser.error(f"tokens come from AUTH_ISSUER, which is {settings.AUTH_ISSUER}")
    token = LocalIssuer().token(
        arguments.subject, *arguments.permissions, seconds=arguments.hours * 3600
    )
    print(token)  # noqa: T201


if __name__ == "__main__":
    main()
