"""The interface that clients build on, held against openapi.json.

Accept a change of it with: uv run python tests/test_openapi.py
"""

import json
from pathlib import Path
from typing import Any

from app.main import app
from tests.api_changes import breaking_changes, differences

SNAPSHOT = Path(__file__).parents[1] / "openapi.json"


def text_of(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def test_the_interface_is_the_one_in_openapi_json() -> None:
    # What `info` says are settings: a deployment may have others.
    accepted = {**json.loads(SNAPSHOT.read_text("utf-8")), "info": {}}
    current = {**json.loads(text_of(app.openapi())), "info": {}}

    changes = list(differences(accepted, current))
    breaking = list(breaking_changes(accepted, current)) or ["nothing"]

    message = ["Changed:", *changes, "Breaks clients:", *breaking, str(__doc__)]
    assert not changes, "\n".join(message)


if __name__ == "__main__":
    SNAPSHOT.write_text(text_of(app.openapi()), "utf-8")
