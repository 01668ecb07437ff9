"""A sampler that lets no value of a client into a span."""

from collections.abc import Sequence

from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import Sampler, SamplingResult
from opentelemetry.trace import Link, SpanKind, TraceState
from opentelemetry.util.types import Attributes

# The attributes that FastAPI copies from the request line and the Host header. `http.route` stays.
FROM_CLIENT = {
    "http.request.method_original",
    "server.address",
    "server.port",
    "url.path",
    "url.query",
}


class WithoutValues(Sampler):
    """Decides as another sampler does; a span begins with the attributes it returns."""

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        from_client = kind is SpanKind.SERVER
        if from_client and attributes:
            attributes = {
                name: value
                for name, value in attributes.items()
                if name not in FROM_CLIENT
            }
        result = self._sampler.should_sample(
            parent_context, trace_id, name, kind, attributes, links, trace_state
        )
        if from_client:
            # The caller's `tracestate` can be any text.
            return SamplingResult(result.decision, result.attributes)
        return result

    def get_description(self) -> str:
        return f"WithoutValues({self._sampler.get_description()})"
