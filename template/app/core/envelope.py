"""Moved to `app.core.http.boundary`; import from there before 1.0, which drops this module."""

from app.core.http.boundary import Envelope, put_in_envelope

__all__ = ["Envelope", "put_in_envelope"]
