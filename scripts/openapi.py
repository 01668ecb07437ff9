"""Writes the OpenAPI documents that a project starts from, as its own test makes them."""

import json
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Without the example, no route requires a permission.
DOCUMENTS = {
    "with-example": [],
    "with-protected-example": ["--data", "auth=oidc"],
    "without-example": ["--data", "example=false"],
}


def main() -> None:
    for name, answers in DOCUMENTS.items():
        # The local PostgreSQL that the service has started may still write there.
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
            copy = [
                "uvx",
                "copier",
                "copy",
                "--defaults",
                "--quiet",
                "--vcs-ref",
                "HEAD",
            ]
            subprocess.run([*copy, *answers, ROOT, directory], check=True)
            accept = ["uv", "run", "--quiet", "python", "tests/test_openapi.py"]
            subprocess.run(accept, cwd=directory, check=True)
            document = json.loads(Path(directory, "openapi.json").read_text("utf-8"))
        document["info"] = {}
        text = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False)
        path = ROOT / "includes" / "openapi" / f"{name}.json"
        path.write_text(f"{text}\n", "utf-8")


if __name__ == "__main__":
    main()
