"""A database of the tests' own, and clients of the application that use it."""

import asyncio
import itertools
from collections.abc import AsyncGenerator
from pathlib import Path

import asyncpg
import pytest
from alembic.command import upgrade
from alembic.config import Config
from httpx2 import ASGITransport, AsyncClient

from app.core.config import settings
