"""What a service answers while a migration changes the type of a column under it."""

from pathlib import Path

from tests.harness.project import Project
from tests.harness.types import Measure

TYPE_CHANGES = Path(__file__).parent / "in_service" / "type_changes.py"


def test_a_changed_type_gives_no_wrong_value_and_no_lasting_error(
    project: Project, measure: Measure
) -> None:
    passed = project.test(TYPE_CHANGES)

    measure(f"Type changes × ways to read or write × PgBouncer: {passed} are right.")
    assert passed >= 14 * 4 * 2
