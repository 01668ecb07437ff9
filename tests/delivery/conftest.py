"""How the tests are distributed among processes."""

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling


class Distribution(LoadFileScheduling):
    """Keeps those of a file together, which share an image or a fleet.

    Those of the pipelines share little, and take half of the time.
    """

    def _split_scope(self, nodeid: str) -> str:
        return nodeid if "/test_forges.py" in nodeid else super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(
    config: pytest.Config, log: Producer
) -> LoadFileScheduling:
    return Distribution(config, log)
