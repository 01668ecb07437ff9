"""What the log has, whoever writes it."""

import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.core.config import settings
from app.core.json_log import JsonFormatter

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


LOG_ALL = """
import logging
from app.core.logging import configure_logging

configure_logging()
for name in ("app.lamps", "other"):
    for level in ("debug", "info", "warning"):
        getattr(logging.getLogger(name), level)("%s says %s", name, level)
"""


LOG_WITH_A_LEVEL_OF_ITS_OWN = """
import logging
lamps = logging.getLogger("app.lamps")
lamps.setLevel("ERROR")
from app.core.logging import configure_logging

configure_logging()
lamps.warning("dim")
lamps.error("broken")
"""


LOG_NAMES_OF_A_LINE = """
import logging
from asgi_correlation_id import correlation_id
from app.core.config import settings
from app.core.logging import configure_logging

settings.ENVIRONMENT = "{environment}"
configure_logging()
correlation_id.set("r1")
names = ["event", "level", "logger", "timestamp", "request_id", "color_message"]
extra = dict.fromkeys(names, "theirs")
logging.getLogger("app.lamps").warning("ours", extra=extra)
"""


LOG_IN_PRODUCTION = """
import logging
from datetime import UTC, datetime
from asgi_correlation_id import correlation_id
from sqlalchemy import make_url
from app.core.config import settings
from app.core.logging import configure_logging

# Not by the variable: production may require other settings.
settings.ENVIRONMENT = "production"
configure_logging()
correlation_id.set("r1")
loop = []
loop.append(loop)
log = logging.getLogger("app.lamps")
log.info("%s\\nlamps \u00fc", 2, extra={"route": "/lamps", "status": 200, "at": {1: 2.5}})
log.info("odd", extra={"type": datetime, "loop": loop, "text": "\\udcff", "color_message": 1})
log.info("odder", extra={"settings": settings, "ratio": float("nan"), "status": 500})
url = make_url("postgresql://app:s3cret@localhost/lamps")
log.info("url", extra={"url": url, "urls": [{"primary": url}]})
lists = []
for _ in range(2000):
    lists = [lists]
log.info("deep", extra={"lists": lists})
log.info("not a number", extra={"ratio": float("nan")})
try:
    raise ValueError("broken")
except ValueError:
    log.exception("failed", stack_info=True)
"""


def run(program: str, **variables: str) -> subprocess.CompletedProcess[str]:
    url = settings.DATABASE_URL.render_as_string(hide_password=False)
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": url, **variables},
        capture_output=True,
        text=True,
        check=True,
    )


@pytest.mark.parametrize("debug", ["true", "false"])
def test_debug_logs_each_statement_once(debug: str) -> None:
    result = run(READ_TWICE, DEBUG=debug, DB_SLOW_STATEMENT="60")

    expected = 1 if debug == "true" else 0
    assert result.stdout == ""
    assert result.stderr.count("AS compiled") == expected
    assert result.stderr.count("AS by_session") == expected
    assert "Pool disposed" not in result.stderr


@pytest.mark.parametrize(
    ("debug", "level", "ours", "others"),
    [
        ("false", "info", ["info", "warning"], ["info", "warning"]),
        ("true", "INFO", ["debug", "info", "warning"], ["info", "warning"]),
        ("false", "Warning", ["warning"], ["warning"]),
        ("false", "DEBUG", ["debug", "info", "warning"], ["debug", "info", "warning"]),
    ],
)
def test_the_level_is_a_setting_and_debug_is_for_the_service_alone(
    debug: str, level: str, ours: list[str], others: list[str]
) -> None:
    lines = run(LOG_ALL, DEBUG=debug, LOG_LEVEL=level).stderr

    assert re.findall(r"app\.lamps says (\w+)", lines) == ours
    assert re.findall(r"other says (\w+)", lines) == others


def test_a_module_keeps_the_level_that_it_sets_when_it_is_imported() -> None:
    result = run(LOG_WITH_A_LEVEL_OF_ITS_OWN)

    assert "broken" in result.stderr
    assert "dim" not in result.stderr


def test_a_line_in_production_is_json_with_the_fields_of_extra() -> None:
    result = run(
        LOG_IN_PRODUCTION,
        LOG_LEVEL="INFO",
        DATABASE_URL="postgresql://app:s3cret@localhost/lamps",
    )

    plain, odd, odder, url, deep, _, failed = lines = [
        json.loads(line, parse_constant=pytest.fail)
        for line in result.stderr.splitlines()
    ]
    same = {"logger": "app.lamps", "request_id": "r1"}
    times = [line.pop("timestamp") for line in lines]
    assert all(re.fullmatch(r"20\d\d-\d\d-\d\dT[\d:.]+Z", time) for time in times)
    assert plain == {
        **same,
        "event": "2\nlamps ü",
        "level": "info",
        "route": "/lamps",
        "status": 200,
        "at": {"1": 2.5},
    }
    assert odd == {
        **same,
        "event": "odd",
        "level": "info",
        "type": "<class 'datetime.datetime'>",
        "loop": "[[...]]",
        "text": "\udcff",
    }
    assert odder["settings"].startswith("Settings(")
    assert "s3cret" not in result.stderr
    assert odder["status"] == 500
    hidden = "postgresql://app:***@localhost/lamps"
    assert (url["url"], url["urls"]) == (hidden, [{"primary": hidden}])
    assert deep["lists"].startswith("<list object at")
    assert failed.pop("exception").endswith("ValueError: broken")
    assert failed.pop("stack").startswith("Stack")
    assert failed == {**same, "event": "failed", "level": "error"}
    assert result.stdout == ""


def test_entries_of_extra_do_not_replace_the_fields_that_every_line_has() -> None:
    names = ("event", "level", "logger", "timestamp", "request_id")

    in_production, in_development = (
        run(LOG_NAMES_OF_A_LINE.format(environment=environment)).stderr
        for environment in ("production", "development")
    )

    line = json.loads(in_production)
    assert line.pop("timestamp") < "3"
    assert line == {
        **{f"extra_{name}": "theirs" for name in names},
        "event": "ours",
        "level": "warning",
        "logger": "app.lamps",
        "request_id": "r1",
    }
    assert re.search(r"\[warning *\] ours .*\[app\.lamps\]", in_development)
    fields = dict(re.findall(r"(\w+)=(\w+)", in_development))
    assert fields == {
        **{f"extra_{name}": "theirs" for name in names},
        "request_id": "r1",
    }


def test_timestamps_sort_as_text_in_the_order_of_time() -> None:
    records = [logging.makeLogRecord({"created": 1.8e9 + s}) for s in (0, 0.25, 1)]

    lines = [json.loads(JsonFormatter().format(record)) for record in records]

    assert [line["timestamp"] for line in lines] == [
        "2027-01-15T08:00:00.000000Z",
        "2027-01-15T08:00:00.250000Z",
        "2027-01-15T08:00:01.000000Z",
    ]


def test_a_name_in_extra_that_is_no_text_becomes_one() -> None:
    extra: Any = {1: [2]}
    record = logging.makeLogRecord(extra)

    assert json.loads(JsonFormatter().format(record))["1"] == [2]
