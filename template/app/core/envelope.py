"""Moved to `app.core.http.boundary`; import from there: 1.0 drops this path."""

from app.core.http.boundary import RequestBoundary as Envelope
from app.core.http.boundary import add_request_boundary as put_in_envelope

__all__ = ["Envelope", "put_in_envelope"]
