"""How the tests are distributed among processes."""

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling


class Distribution(LoadFileScheduling):
    """Keeps the tests of a file together, because they share an image or a fleet.

    The tests of the pipelines share little and take half of the time: each is on its own.
    """

    def _split_scope(self, nodeid: str) -> str:
        return nodeid if "/test_forges.py" in nodeid else super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(
    config: pytest.Config, log: Producer
) -> LoadFileScheduling:
    return Distribution(config, log)
