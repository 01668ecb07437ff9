"""What the log has, whoever writes it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.core.config import settings

ROOT = Path(__file__).parents[2]
READ_TWICE = """
import asyncio
from sqlalchemy import literal, select
from app.core.db.compiled_reads import CompiledRead
from app.core.database import engine, read_session_factory, reader
from app.core.logging import configure_logging

async def read() -> None:
    await reader.all(CompiledRead(select(literal(1).label("compiled")), dict))
    async with read_session_factory() as session:
        await session.execute(select(literal(2).label("by_session")))
    await engine.dispose()

configure_logging()
asyncio.run(read())
"""


@pytest.mark.parametrize("debug", ["true", "false"])
def test_debug_logs_each_statement_once(debug: str) -> None:
    url = settings.DATABASE_URL.render_as_string(hide_password=False)

    result = subprocess.run(
        [sys.executable, "-c", READ_TWICE],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": url, "DEBUG": debug},
        capture_output=True,
        text=True,
        check=True,
    )

    expected = 1 if debug == "true" else 0
    assert result.stdout == ""
    assert result.stderr.count("AS compiled") == expected
    assert result.stderr.count("AS by_session") == expected
    assert "Pool disposed" not in result.stderr
