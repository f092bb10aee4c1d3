"""One function over many items: here one after the other, on several processes, or on a cluster (Dask distributed)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from vsframework.errors import UsageError, VsfError
from vsframework.progress import track

if TYPE_CHECKING:
    from distributed import Client

T = TypeVar("T")
R = TypeVar("R")

IN_FLIGHT = 8
"""Tasks per worker that the scheduler knows of: none waits for work, and its memory does not grow with the items."""
MAX_DEATHS = 2
"""An item is given up when this many workers more than one have died over it."""
DIED = "the worker process died over it every time: out of memory perhaps, or in a crash of a library"
CONNECT_SECONDS = 10
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1") | {
    "OPENCV_FOR_THREADS_NUM": "1"
}
"""The environment of a worker process here: it is one of as many as there are cores to use."""


class LostWorkerError(VsfError):
    """The process that worked on an item died, again and again."""


@dataclass(frozen=True, kw_only=True)
class Workers:
    """Who does the work.

    Attributes
    ----------
    count
        Processes on this machine; 1 is this process itself, without Dask.
    scheduler
        Address of a Dask scheduler (``tcp://host:port``) whose workers do it instead; they must have the same software
        and see the same folders.
    """

    count: int = 1
    scheduler: str | None = None

    @property
    def here(self) -> bool:
        """Whether this process does it all."""
        return self.count == 1 and self.scheduler is None


HERE = Workers()


@dataclass(frozen=True, kw_only=True)
class Outcome(Generic[R]):
    """What became of one item.

    Attributes
    ----------
    index
        Its place among the items.
    value
        What the function gave; None after an error.
    error
        What it raised, or a VsfError for a worker that died over it.
    """

    index: int
    value: R | None = None
    error: Exception | None = None

    @property
    def reason(self) -> str:
        """Say what went wrong, in one sentence; empty where nothing did."""
        return "" if self.error is None else explain(self.error)


def explain(error: Exception) -> str:
    """Say in one sentence what went wrong; an error that is not ours is named."""
    if isinstance(error, VsfError):
        return str(error)
    return f"failed with {type(error).__name__}: {' '.join(str(error).split())}"


def fan_out(
    function: Callable[[T], R], items: Sequence[T], workers: Workers = HERE, description: str = "Working"
) -> Iterator[Outcome[R]]:
    """Call `function` for each of `items` and give the outcomes as they come, in any order, behind a progress bar.

    An exception costs its item and nothing else, and so does an item that kills the process it runs in. `function` must
    be importable by name, and it and its items small: with several processes they are pickled to them. Whatever is
    large goes through files.

    Raises
    ------
    UsageError
        When Dask distributed is needed and not installed, or the scheduler cannot be reached.
    VsfError
        When the scheduler is lost on the way.
    """
    if not items:
        return
    outcomes = _here(function, items) if workers.here else _on_dask(function, items, workers)
    yield from track(outcomes, description, total=len(items))


def _here(function: Callable[[T], R], items: Iterable[T]) -> Iterator[Outcome[R]]:
    for index, item in enumerate(items):
        try:
            outcome = Outcome(index=index, value=function(item))
        except Exception as error:  # one bad item must not take the rest down
            outcome = Outcome(index=index, error=error)
        yield outcome


def _on_dask(function: Callable[[T], R], items: Sequence[T], workers: Workers) -> Iterator[Outcome[R]]:
    with _client(workers, len(items)) as client:
        threads = sum(client.nthreads().values()) or workers.count
        suspects: list[int] = []
        for outcome in _window(client, function, items, range(len(items)), threads * IN_FLIGHT):
            if isinstance(outcome.error, LostWorkerError):
                suspects.append(outcome.index)
            else:
                yield outcome
        # whatever lay on a worker when it died is suspected; alone on it, an item can blame no other
        yield from _window(client, function, items, suspects, 1)


def _window(
    client: Client, function: Callable[[T], R], items: Sequence[T], indices: Iterable[int], width: int
) -> Iterator[Outcome[R]]:
    """Run the items of `indices`, at most `width` of them known to the scheduler at a time."""
    from distributed import as_completed

    places: dict[Any, int] = {}

    def submit(index: int) -> Any:
        future = client.submit(function, items[index], pure=False)  # pure: two equal items would be one task
        places[future.key] = index
        return future

    waiting = iter(indices)
    running = as_completed([submit(index) for index in islice(waiting, width)], loop=client.loop)
    for future in running:
        index = places.pop(future.key)
        yield _outcome(index, future)
        future.release()
        for following in islice(waiting, 1):
            running.add(submit(following))


def _outcome(index: int, future: Any) -> Outcome[Any]:
    from distributed.scheduler import KilledWorker

    if future.status == "cancelled":
        raise VsfError(
            "the Dask scheduler was lost; what is finished is kept: start it and run the same command again to go on"
        )
    error = future.exception()
    if error is None:
        return Outcome(index=index, value=future.result())
    if isinstance(error, KilledWorker):
        return Outcome(index=index, error=LostWorkerError(DIED))
    if not isinstance(error, Exception):
        raise error
    return Outcome(index=index, error=error)


@contextmanager
def _client(workers: Workers, items: int) -> Iterator[Client]:
    """Connect to the cluster that `workers` names, or start one on the loopback for as long as this lasts."""
    try:
        import dask
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise UsageError(
            "several workers need Dask distributed: pip install 'vsframework[scale]', or leave out --workers and "
            "--scheduler"
        ) from error
    # no web pages: nobody looks at them, and fewer ports are open
    settings = {
        "distributed.scheduler.allowed-failures": MAX_DEATHS,
        "distributed.scheduler.http.routes": [],
        "distributed.worker.http.routes": [],
        # Dask's own sets glibc to give freed memory back at once, which doubles the time that the system takes
        "distributed.nanny.pre-spawn-environ": ONE_THREAD,
    }
    with dask.config.set(settings):
        if workers.scheduler is not None:
            try:
                client = Client(workers.scheduler, timeout=CONNECT_SECONDS, set_as_default=False)
            except (OSError, ValueError) as error:
                raise UsageError(
                    f"no Dask scheduler answers at {workers.scheduler}: start one with 'dask scheduler' and workers "
                    "with 'dask worker', or use --workers"
                ) from error
            with client:
                if not client.nthreads():
                    raise UsageError(
                        f"the Dask scheduler at {workers.scheduler} has no workers: start some with 'dask worker "
                        f"{workers.scheduler}'"
                    )
                yield client
            return
        with (
            LocalCluster(
                n_workers=min(workers.count, items),
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",  # nobody outside this machine can send it work
                dashboard_address=None,
                scheduler_kwargs={"dashboard": False, "dashboard_address": "127.0.0.1:0"},
                memory_limit=0,
                silence_logs=logging.CRITICAL,
            ) as cluster,
            Client(cluster, set_as_default=False) as client,
        ):
            yield client
