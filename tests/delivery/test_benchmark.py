"""The benchmark compares servers that answer alike, and counts what it says."""

import json
import subprocess
import sys

import pytest

from tests.harness.project import ROOT
from tests.harness.types import Render

Numbers = dict[str, dict[str, dict[str, float]]]


@pytest.fixture(scope="module")
def numbers(installed: Render, tmp_path_factory: pytest.TempPathFactory) -> Numbers:
    """The numbers of one round; the command fails where two servers answer differently."""
    file = tmp_path_factory.mktemp("benchmark") / "numbers.json"
    subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.service", "--rounds=0"),
            *("--project", installed().path, "--json", file),
        ],
        check=True,
        cwd=ROOT,
        timeout=300,
    )
    return json.loads(file.read_text())


def test_a_read_is_one_round_trip_and_so_is_a_new_row(numbers: Numbers) -> None:
    assert numbers["round trips"]["generated"] == {"GET one": 1, "GET 50": 1, "POST": 1}


def test_the_plain_design_takes_more(numbers: Numbers) -> None:
    trips = numbers["round trips"]

    for kind, number in trips["generated"].items():
        assert trips["limit"][kind] == 1
        # It commits after its answer, so in a moment of load one may be counted late.
        assert trips["plain"][kind] > number


def test_every_server_served_every_kind_of_request(numbers: Numbers) -> None:
    assert len(numbers["results"]) == 5 * 4
    for kind, result in numbers["results"].items():
        assert result["rate"] > 0, kind
        assert result["app"] > 0, kind
