"""The interface that clients build on, held against openapi.json.

Accept a change of it with: uv run python tests/test_openapi.py
"""

import json
from difflib import unified_diff
from pathlib import Path
from typing import Any

from app.main import app

SNAPSHOT = Path(__file__).parents[1] / "openapi.json"


def text_of(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def test_the_interface_is_the_one_in_openapi_json() -> None:
    # The title, description and version are settings: a deployment may have others.
    accepted = text_of({**json.loads(SNAPSHOT.read_text("utf-8")), "info": {}})
    current = text_of({**app.openapi(), "info": {}})

    changes = unified_diff(
        accepted.splitlines(), current.splitlines(), "accepted", "current", lineterm=""
    )

    assert accepted == current, "\n".join([*changes, str(__doc__)])


if __name__ == "__main__":
    SNAPSHOT.write_text(text_of(app.openapi()), "utf-8")
