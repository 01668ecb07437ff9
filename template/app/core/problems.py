"""Moved to `app.core.http.problems`; import from there: 1.0 drops this path."""

from app.core.http.openapi import ProblemDetails, document_problems, problems
from app.core.http.problems import Problem

__all__ = ["Problem", "ProblemDetails", "document_problems", "problems"]
