"""What the standard variables of OpenTelemetry ask for.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

import logging
import os
from typing import Literal

Signal = Literal["TRACES", "METRICS"]
SUPPORTED: dict[Signal, set[str]] = {
    "TRACES": {"otlp", "console"},
    "METRICS": {"otlp", "prometheus"},
}

logger = logging.getLogger(__name__)


def is_wanted() -> bool:
    """Return whether the environment names a destination for traces or metrics."""
    return bool(exporters("TRACES") or exporters("METRICS"))


def exporters(signal: Signal) -> set[str]:
    """Return the exporters of a signal: none unless the environment names a destination.

    The standard's default, an OTLP collector on localhost, counts as not named.
    """
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return set()
    names = {name.strip() for name in _variable(f"{signal}_EXPORTER").split(",")}
    if names == {""}:
        names = {"otlp"}
    if not (_variable("EXPORTER_OTLP_ENDPOINT") or _endpoint(signal)):
        names.discard("otlp")
    return names & SUPPORTED[signal]


def warn_of_unsupported() -> None:
    """Log what the environment asks for in vain; the service runs all the same."""
    for signal, supported in SUPPORTED.items():
        names = {name.strip() for name in _variable(f"{signal}_EXPORTER").split(",")}
        if unknown := names - supported - {"", "none"}:
            logger.warning(
                "OTEL_%s_EXPORTER: %s is not supported",
                signal,
                " and ".join(sorted(unknown)),
            )
    protocol = _variable("EXPORTER_OTLP_PROTOCOL")
    if protocol not in {"", "http/protobuf"}:
        logger.warning("OTEL_EXPORTER_OTLP_PROTOCOL: http/protobuf is used")


def _endpoint(signal: Signal) -> str:
    return _variable(f"EXPORTER_OTLP_{signal}_ENDPOINT")


def _variable(name: str) -> str:
    return os.environ.get(f"OTEL_{name}", "").strip()
