"""The environment of this process, put back as it was."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


@contextmanager
def environment_restored(names: Iterable[str]) -> Iterator[None]:
    """Give the variables `names` the values they have now when the block ends, or none where they have none."""
    before = {name: os.environ.get(name) for name in names}
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
