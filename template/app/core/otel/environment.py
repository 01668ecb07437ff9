"""The standard environment variables of OpenTelemetry.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

import logging
import os
from typing import Literal

Signal = Literal["TRACES", "METRICS", "LOGS"]
SUPPORTED: dict[Signal, set[str]] = {
    "TRACES": {"otlp", "console"},
    "METRICS": {"otlp", "prometheus"},
    "LOGS": set(),
}
PROTOCOL = "http/protobuf"

logger = logging.getLogger(__name__)


def is_wanted() -> bool:
    """Return whether the environment names a destination for traces or metrics."""
    return bool(exporters("TRACES") or exporters("METRICS"))


def exporters(signal: Signal) -> set[str]:
    """Return the exporters of a signal: none unless the environment names a destination.

    The standard's default, an OTLP collector on this machine, is not used.
    """
    if _variable("SDK_DISABLED").lower() == "true":
        return set()
    names = _names(signal) or {"otlp"}
    if not (
        _variable("EXPORTER_OTLP_ENDPOINT")
        or _variable(f"EXPORTER_OTLP_{signal}_ENDPOINT")
    ):
        names.discard("otlp")
    return names & SUPPORTED[signal]


def warn_of_unsupported() -> None:
    """Log each exporter and protocol in the environment that is not supported."""
    values = {
        f"{signal}_EXPORTER": _names(signal) - supported - {"none"}
        for signal, supported in SUPPORTED.items()
    }
    for name in ("", *(f"{signal}_" for signal in SUPPORTED)):
        protocol = f"EXPORTER_OTLP_{name}PROTOCOL"
        values[protocol] = {_variable(protocol)} - {PROTOCOL, ""}
    for name, unsupported in values.items():
        for value in sorted(unsupported):
            logger.warning("OTEL_%s: %s is not supported", name, value)


def _names(signal: Signal) -> set[str]:
    names = _variable(f"{signal}_EXPORTER").split(",")
    return {name.strip() for name in names} - {""}


def _variable(name: str) -> str:
    return os.environ.get(f"OTEL_{name}", "").strip()
