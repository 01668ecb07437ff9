"""Copies a feature of this service, such as the example, under another name.

uv run python scripts/new_feature.py desk --like lamp
"""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Mapping
from difflib import unified_diff
from pathlib import Path

from feature.checks import (
    refuse_invalid,
    refuse_shared_relationships,
    refuse_used,
    refuse_used_modules,
)
from feature.code import RefusedError
from feature.copy import Copy
from feature.registers import API, MODELS, with_models, with_routes
from feature.source import Feature, find_feature
from feature.words import Name, plural_of

ROOT = Path(__file__).resolve().parents[1]
NEXT = """\
Changed:
  app/api.py
  app/models/__init__.py

Next, generate the revision:
  uv run alembic upgrade head && uv run alembic revision --autogenerate -m "Create {name}"
Read it and the copy, then accept the routes and run the tests:
  uv run python tests/test_openapi.py && uv run pytest"""


def main() -> None:
    """Write the copy, or exit with a sentence and leave every file as it is."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", help="the singular, such as line_item")
    parser.add_argument(
        "--like", required=True, help="the singular of the feature to copy"
    )
    parser.add_argument("--plural", help="the plural of the name, such as people")
    parser.add_argument("--like-plural", help="the same for --like, if it is irregular")
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="show what would change, but write nothing",
    )
    options = parser.parse_args()
    try:
        copy = copy_of(options)
        files = {**copy.files, API: with_routes(copy), MODELS: with_models(copy)}
        if not options.dry_run:
            write(files, copy.new)
    except (RefusedError, OSError) as error:
        sys.exit(str(error))
    print(report(copy, files, is_dry_run=options.dry_run))  # noqa: T201


def copy_of(options: argparse.Namespace) -> Copy:
    refuse_invalid(options.name)
    plural = options.plural or plural_of(options.name)
    if plural is None:
        raise RefusedError(f"What is the plural of {options.name}? Add --plural.")
    refuse_invalid(plural)
    old = find_feature(ROOT, options.like, options.like_plural)
    refuse_shared_relationships(old)
    copy = Copy(old, Feature(ROOT, Name(options.name, plural)))
    refuse_used(copy)
    refuse_used_modules(copy)
    return copy


def write(files: Mapping[Path, str], new: Feature) -> None:
    """Write and format all of the files; if that fails, undo it."""
    before = {path: (ROOT / path).read_bytes() for path in (API, MODELS)}
    try:
        for path, text in files.items():
            (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
            (ROOT / path).write_text(text, "utf-8")
        run_ruff("check", "--fix", "--exit-zero", *files)
        run_ruff("format", *files)
    except BaseException:
        for folder in (new.folder, new.tests):
            shutil.rmtree(ROOT / folder, ignore_errors=True)
        (ROOT / new.model).unlink(missing_ok=True)
        for path, content in before.items():
            (ROOT / path).write_bytes(content)
        raise


def run_ruff(*arguments: str | Path) -> None:
    command = [sys.executable, "-m", "ruff", *arguments, "--quiet"]
    result = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False
    )
    if result.returncode:
        raise RefusedError(f"Ruff cannot format the copy: {result.stderr.strip()}")


def report(copy: Copy, files: Mapping[Path, str], *, is_dry_run: bool) -> str:
    """Return what was or would be done, and what to do next."""
    names = copy.models | copy.tables | copy.special
    lines = ["Would create:" if is_dry_run else "Created:"]
    lines += [f"  {path}" for path in files if path not in (API, MODELS)]
    lines += [
        "",
        "With these names:",
        *(f"  {old} → {new}" for old, new in names.items()),
    ]
    if copy.old.other_files:
        lines += ["", "Not copied:", *(f"  {path}" for path in copy.old.other_files)]
    if copy.foreign:
        lines += ["", "Not renamed:", *(f"  {name}" for name in copy.foreign)]
    lines.append("")
    if is_dry_run:
        for path in (API, MODELS):
            before = (ROOT / path).read_text("utf-8").splitlines()
            after = files[path].splitlines()
            lines += unified_diff(before, after, str(path), str(path), lineterm="")
        return "\n".join(lines)
    return "\n".join([*lines, NEXT.format(name=copy.new.name.singular)])


if __name__ == "__main__":
    main()
