"""The types of the fixtures that are functions."""

from collections.abc import Callable

from tests.harness.project import Project

Render = Callable[..., Project]
Measure = Callable[[str], None]
