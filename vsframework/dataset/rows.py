"""The rows of a table that is too long to be held: on disk while they come, and a CSV at the end."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

ROWS_AT_ONCE = 4096


class RowSpool:
    """Rows, each with columns of its own, that become one table: a column for every name that any row has.

    Parameters
    ----------
    path
        Where the rows lie until they are a table.
    columns
        These come first, whether any row has them or not.

    Attributes
    ----------
    count
        How many there are.
    """

    def __init__(self, path: Path, columns: Iterable[str] = ()) -> None:
        self._path = path
        self._file = path.open("w", encoding="utf-8")
        self._columns = dict.fromkeys(columns)
        self.count = 0

    def add(self, row: Mapping[str, Any]) -> None:
        """Add one row of strings, booleans and numbers, of Python or NumPy."""
        self._columns.update(dict.fromkeys(row))
        self._file.write(json.dumps(row, default=_plain) + "\n")
        self.count += 1

    def rows(self) -> Iterator[dict[str, Any]]:
        """Go through the rows in order."""
        self._file.flush()
        with self._path.open(encoding="utf-8") as file:
            for line in file:
                yield json.loads(line)

    def write_csv(self, path: Path, watch: Callable[[bytes], object] = lambda _: None) -> None:
        """Write the table, columns in the order in which they came up, and remove the spool.

        Numbers have 9 significant digits; what a row lacks, and NaN, is empty. `watch` sees all that is written.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self._columns)
        with path.open("wb") as file:

            def flush() -> None:
                part = text.getvalue().encode()
                watch(part)
                file.write(part)
                text.seek(0)
                text.truncate()

            for number, row in enumerate(self.rows()):
                writer.writerow([_cell(row.get(column)) for column in self._columns])
                if number % ROWS_AT_ONCE == ROWS_AT_ONCE - 1:
                    flush()
            flush()
        self.close()

    def close(self) -> None:
        """Close and remove the spool; it can be called twice."""
        self._file.close()
        self._path.unlink(missing_ok=True)


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.9g}"
    return value


def _plain(value: Any) -> Any:
    """Turn a NumPy scalar into the number it holds."""
    return value.item()
