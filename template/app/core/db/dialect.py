"""What SQLAlchemy's dialect does around a statement, for statements that run without it."""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from sqlalchemy import BindParameter, TypeDecorator
from sqlalchemy.dialects.postgresql.asyncpg import PGCompiler_asyncpg, dialect
from sqlalchemy.exc import CompileError, DBAPIError, InvalidRequestError
from sqlalchemy.types import TypeEngine

from app.core.db.types import to_json

PRECISION = re.compile(r"(?<=::NUMERIC)\(\d+, \d+\)")


class ExactCompiler(PGCompiler_asyncpg):
    """Compiles without two changes of values that SQLAlchemy makes in silence."""

    def render_bind_cast(self, type_: Any, dbapi_type: Any, sqltext: str) -> str:
        """Let a decimal have more places than the column that it meets.

        Of a Numeric(10, 2), `price * Decimal("1.055")` would be a product with 1.06, and
        `price == Decimal("0.996")` would find a price of 1.
        """
        return PRECISION.sub("", super().render_bind_cast(type_, dbapi_type, sqltext))

    def render_literal_bindparam(
        self, bindparam: BindParameter[Any], *args: Any, **options: Any
    ) -> str:
        """Refuse a colon that begins a parameter in a text of a table, even in quotes.

        SQLAlchemy would write NULL there: for the CHECK constraint "name <> ':none'", it
        would be "name <> 'NULL'".
        """
        rendered = super().render_literal_bindparam(bindparam, *args, **options)
        if bindparam.required and rendered == "NULL":
            raise CompileError(
                f"The text ':{bindparam.key}' in the SQL of a table begins a parameter: "
                "write a backslash before the colon, which is '\\\\:' in Python."
            )
        return rendered


DBAPI: Any = dialect.import_dbapi()
DIALECT = dialect(dbapi=DBAPI, json_serializer=to_json)
DIALECT.statement_compiler = ExactCompiler
# An OID of PostgreSQL for each Python type that asyncpg makes of a number.
NUMBER_OIDS = {float: 701, Decimal: 1700, int: 20}


def driver_type(type_: TypeEngine[Any]) -> TypeEngine[Any]:
    """Return the type that a value has in the driver, without its decorators."""
    type_ = type_.dialect_impl(DIALECT)
    while isinstance(type_, TypeDecorator):
        type_ = type_.impl_instance.dialect_impl(DIALECT)
    return type_


def to_driver(type_: TypeEngine[Any]) -> Callable[[Any], Any] | None:
    """Return what converts a value from Python for the driver, or None if nothing must."""
    return type_.dialect_impl(DIALECT).bind_processor(DIALECT)


def from_driver(type_: TypeEngine[Any]) -> Callable[[Any], Any] | None:
    """Return what converts a value from the driver for Python, or None if nothing must."""
    impl = type_.dialect_impl(DIALECT)
    try:
        return impl.result_processor(DIALECT, 0)
    except InvalidRequestError:
        # A number, whose conversion depends on the column's type in PostgreSQL. A
        # migration may change that at any time, so each value tells.
        by_type = {
            number: impl.result_processor(DIALECT, oid)
            for number, oid in NUMBER_OIDS.items()
        }

    def convert(value: Any) -> Any:
        process = by_type.get(type(_element(value)), by_type[Decimal])
        return value if process is None else process(value)

    return convert


def _element(value: Any) -> Any:
    """Return an element of an array, or the value of any other column."""
    while isinstance(value, list | tuple):
        value = next((element for element in value if element is not None), None)
    return value


def session_error(
    sql: str, arguments: list[Any], error: Exception, *, is_lost: bool
) -> BaseException:
    """Return what a session raises for an error of asyncpg."""
    classes = DBAPI._asyncpg_error_translate
    known = next(classes[base] for base in type(error).__mro__ if base in classes)
    wrapped = known(str(error), error)
    wrapped.__cause__ = error
    return DBAPIError.instance(
        sql,
        arguments,
        wrapped,
        DBAPI.Error,
        hide_parameters=True,
        connection_invalidated=is_lost,
        dialect=DIALECT,
    )


def refused_value(sql: str, error: Exception) -> BaseException:
    """Return what a session raises for an error of a type that converts a value."""
    return DBAPIError.instance(sql, None, error, DBAPI.Error, hide_parameters=True)
