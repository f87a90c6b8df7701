"""Parquet: one profile per row. A column's name is its XDM path, or a column holds a whole object, such as `identityMap`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from app.errors import UsageError
from app.files.columns import BadCell, Column, Columns
from app.files.records import Damaged, Record
from app.mapping.update import Reason

ROWS_AT_ONCE = 500
_UNREADABLE = object()  # stands for an unreadable cell


class ParquetRows:
    """The rows of a Parquet file; reads the schema at once. Raises: `UsageError`, also if pyarrow is not installed; `Damaged`."""

    def __init__(self, path: str, given: Mapping[str, Column] | None) -> None:
        try:
            import pyarrow as pa
            from pyarrow import parquet
        except ImportError:
            raise UsageError(
                f"{path} is a Parquet file, and the library that reads such files is not installed.",
                remedy="pip install 'activation-pipeline[parquet]'.",
            ) from None
        self._arrow = pa
        self._broken: type[Exception] = pa.ArrowException
        try:
            self._file: Any = parquet.ParquetFile(path, buffer_size=1_000_000, pre_buffer=False)
        except (pa.ArrowException, OSError) as error:
            raise Damaged from error
        self._rows = 0
        self._names = list(self._file.schema_arrow.names)
        self.columns = Columns(self._names, given)

    @property
    def share(self) -> float:
        """The share of the rows that has been read."""
        return float(self._rows / max(1, self._file.metadata.num_rows))

    def items(self) -> Iterator[tuple[int, list[Any]]]:
        try:
            for batch in self._file.iter_batches(batch_size=ROWS_AT_ONCE):
                for cells in zip(*map(self._values, batch.columns), strict=True):
                    self._rows += 1
                    yield self._rows, list(cells)
        except (self._broken, OSError) as error:
            raise Damaged from error
        finally:
            self._file.close()

    def record(self, number: int, item: list[Any]) -> Record:
        unreadable = [name for name, cell in zip(self._names, item, strict=True) if cell is _UNREADABLE]
        if unreadable:
            fault = f"column {unreadable[0]} holds a value that cannot be read, such as a time beyond the year 9999"
            return Record(number, None, Reason.MALFORMED_PROFILE, fault)
        try:
            return Record(number, self.columns.profile([_plain(cell) for cell in item]))
        except BadCell as problem:
            return Record(number, None, Reason.MALFORMED_PROFILE, str(problem))

    def _values(self, column: Any) -> list[Any]:
        """Return a column's values as Python objects; an unreadable value does not affect the others."""
        types = self._arrow.types
        if (
            types.is_timestamp(column.type) and column.type.unit == "ns"
        ):  # finer than Python's times, and than anything here
            column = column.cast(self._arrow.timestamp("us", column.type.tz), safe=False)
        try:
            return list(column.to_pylist(maps_as_pydicts="lossy"))
        except Exception:  # noqa: BLE001  # each type has its own errors
            return [_value(cell) for cell in column]


def _value(cell: Any) -> Any:
    try:
        return cell.as_py(maps_as_pydicts="lossy")
    except Exception:  # noqa: BLE001  # as above
        return _UNREADABLE


def _plain(value: Any) -> Any:
    """Return a value as JSON would have it; within an object, nulls and NaN are dropped."""
    match value:
        case float() if math.isnan(value):  # pandas' way of writing a missing value
            return None
        case dict():
            plain = ((key, _plain(inner)) for key, inner in value.items())
            return {key: inner for key, inner in plain if inner is not None}
        case list():
            return [_plain(inner) for inner in value]
        case datetime():
            return (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat()
        case date() | time():
            return value.isoformat()
        case Decimal():
            return str(value)
        case bytes():  # how some writers store text
            try:
                return value.decode()
            except UnicodeDecodeError:
                raise BadCell("one of its columns holds binary data") from None
    return value
