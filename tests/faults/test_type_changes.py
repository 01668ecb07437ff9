"""What a service answers while a migration changes the type of a column under it."""

import re
import shutil
from pathlib import Path

from tests.harness.project import Project
from tests.harness.types import Measure

IN_SERVICE = Path(__file__).parent / "in_service" / "type_changes.py"


def test_a_changed_type_gives_no_wrong_value_and_no_lasting_error(
    project: Project, measure: Measure
) -> None:
    test = project.path / "tests" / "core" / "test_type_changes.py"
    shutil.copy(IN_SERVICE, test)
    try:
        result = project.run("pytest", "--override-ini=addopts=", "-q", str(test))
    finally:
        test.unlink()

    passed = re.search(r"(\d+) passed", result.stdout)
    assert passed is not None, result.stdout
    measure(f"Type changes × ways to read or write × PgBouncer: {passed[1]} are right.")
    assert int(passed[1]) >= 14 * 4 * 2
