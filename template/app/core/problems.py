"""Moved to `app.core.http.problems`; import from there before 1.0, which drops this module."""

from app.core.http.openapi import ProblemDetails, document_problems, problems
from app.core.http.problems import Problem

__all__ = ["Problem", "ProblemDetails", "document_problems", "problems"]
