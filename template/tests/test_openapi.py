"""The interface that clients build on, held against openapi.json.

Accept a change of it with: uv run python tests/test_openapi.py
"""

import json
from difflib import unified_diff
from pathlib import Path
from typing import Any

from app.main import app

SNAPSHOT = Path(__file__).parents[1] / "openapi.json"


def written(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def test_the_interface_is_the_one_in_openapi_json() -> None:
    accepted, current = json.loads(SNAPSHOT.read_text("utf-8")), app.openapi()
    # The title, description and version are settings: a deployment may have others.
    texts = [written({**document, "info": {}}) for document in (accepted, current)]

    changes = unified_diff(*map(str.splitlines, texts), "accepted", "current", n=5)

    assert not (lines := list(changes)), "\n".join([*lines, str(__doc__)])


if __name__ == "__main__":
    SNAPSHOT.write_text(written(app.openapi()), "utf-8")
