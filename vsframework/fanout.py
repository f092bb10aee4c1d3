"""One function over many items: here one after the other, on several processes, or on a cluster (Dask distributed)."""

from __future__ import annotations

import logging
import os
import pickle
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import entry_points
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from vsframework import freed_memory, preloaded
from vsframework.environment import environment_restored
from vsframework.errors import UsageError, VsfError
from vsframework.progress import track

if TYPE_CHECKING:
    from distributed import Client, LocalCluster

T = TypeVar("T")
R = TypeVar("R")

PLUGINS = "vsframework"
"""Group of the entry points by which plugins are found."""
IN_FLIGHT = 8
"""Tasks per worker that the scheduler knows of: none waits for work, and its memory does not grow with the items."""
TASK_SECONDS = 0.3
"""Items are sent several at a time where one takes less: a task costs some 10 ms, whatever is in it."""
SHARES = 4
"""A task holds no more than one of so many parts of what each worker has still to do: no worker waits at the end."""
MAX_DEATHS = 2
"""An item is given up when this many workers more than one have died over it."""
DIED = "the worker process died over it every time: out of memory perhaps, or in a crash of a library"
CONNECT_SECONDS = 10
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1") | {
    "OPENCV_FOR_THREADS_NUM": "1"
}
"""The environment of a process that is one of as many as there are cores to use."""
WORKER_ENVIRONMENT = ONE_THREAD | freed_memory.ENVIRONMENT


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
    with _client(workers, len(items), function) as client:
        threads = sum(client.nthreads().values()) or workers.count
        suspects: list[int] = []
        for outcome in _window(client, function, items, range(len(items)), threads):
            if isinstance(outcome.error, LostWorkerError):
                suspects.append(outcome.index)
            else:
                yield outcome
        # whatever lay on a worker when it died is suspected; alone on it, an item can blame no other
        yield from _window(client, function, items, suspects, 0)


def _window(
    client: Client, function: Callable[[T], R], items: Sequence[T], indices: Sequence[int], threads: int
) -> Iterator[Outcome[R]]:
    """Run the items of `indices`, a few tasks per thread known to the scheduler at a time; one item with no `threads`.

    How many items make a task follows from how long the last ones took.
    """
    from distributed import as_completed

    tasks: dict[Any, list[int]] = {}
    waiting = iter(indices)
    left, size = len(indices), 1

    def submit() -> Iterator[Any]:
        nonlocal left
        some = list(islice(waiting, min(size, max(1, left // (SHARES * max(1, threads))))))
        if some:
            left -= len(some)
            # pure: two equal items would be one task
            future = client.submit(_several, function, [items[index] for index in some], pure=False)
            tasks[future.key] = some
            yield future

    first = [future for _ in range(max(1, threads * IN_FLIGHT)) for future in submit()]
    running = as_completed(first, loop=client.loop)
    for future in running:
        some = tasks.pop(future.key)
        outcomes, seconds = _outcomes(some, future)
        future.release()
        if threads and seconds > 0:
            size = max(1, int(TASK_SECONDS * len(some) / seconds))
        for following in submit():
            running.add(following)
        yield from outcomes


def _several(function: Callable[[T], R], items: Sequence[T]) -> tuple[list[Outcome[R]], float]:
    """Call `function` for each of `items` on a worker; gives what became of them, and the seconds that took."""
    start = time.perf_counter()
    outcomes = []
    for outcome in _here(function, items):
        try:
            pickle.loads(pickle.dumps(outcome.error))  # noqa: S301 - what was made on this line
        except Exception:  # it cannot travel, and would take the others with it
            outcome = Outcome(index=outcome.index, error=VsfError(outcome.reason))
        outcomes.append(outcome)
    return outcomes, time.perf_counter() - start


def _outcomes(some: Sequence[int], future: Any) -> tuple[list[Outcome[Any]], float]:
    from distributed.scheduler import KilledWorker

    if future.status == "cancelled":
        raise VsfError(
            "the Dask scheduler was lost; what is finished is kept: start it and run the same command again to go on"
        )
    error = future.exception()
    if error is None:
        outcomes, seconds = future.result()
        return [Outcome(index=some[one.index], value=one.value, error=one.error) for one in outcomes], seconds
    if isinstance(error, KilledWorker):
        error = LostWorkerError(DIED)
    if not isinstance(error, Exception):
        raise error
    return [Outcome(index=index, error=error) for index in some], 0.0


def _begin_forks(function: Callable[..., Any]) -> str:
    """Have worker processes begin as copies of one that has imported what the work needs; says how they are to begin.

    What this process has imported of ours, of the plugins and for the function each of its workers would import too:
    seconds of a processor for each. Sets a variable of the environment (`preloaded`).
    """
    if not sys.platform.startswith("linux"):
        return "spawn"
    import dask
    from distributed.utils import get_mp_context

    function = getattr(function, "func", function)  # of a partial
    packages = {__name__.partition(".")[0]}
    packages |= {point.module.partition(".")[0] for point in entry_points(group=PLUGINS)}
    modules = {name for name in sys.modules if name.partition(".")[0] in packages} | {function.__module__}
    os.environ[preloaded.MODULES] = " ".join(sorted(modules - {"__main__"}))
    with dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"}):
        get_mp_context().set_forkserver_preload(["distributed", preloaded.__name__])
    return "forkserver"


@contextmanager
def _closing(cluster: LocalCluster) -> Iterator[LocalCluster]:
    """Close `cluster` at the end, and let nothing that goes wrong then spoil the work that is done.

    Dask fails on a worker that died and is just being started again. No worker outlives this process in any case.
    """
    try:
        yield cluster
    finally:
        with suppress(Exception):
            cluster.close()


@contextmanager
def _client(workers: Workers, items: int, function: Callable[..., Any]) -> Iterator[Client]:
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
        "distributed.worker.profile.enabled": False,  # for those pages
        # Dask's own has freed memory given back at once
        "distributed.nanny.pre-spawn-environ": WORKER_ENVIRONMENT,
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
            environment_restored([*WORKER_ENVIRONMENT, preloaded.MODULES]),  # Dask sets the former here, for workers
            dask.config.set({"distributed.worker.multiprocessing-method": _begin_forks(function)}),
            _closing(
                LocalCluster(
                    n_workers=min(workers.count, items),
                    threads_per_worker=1,
                    processes=True,
                    host="127.0.0.1",  # nobody outside this machine can send it work
                    dashboard_address=None,
                    scheduler_kwargs={"dashboard": False, "dashboard_address": "127.0.0.1:0"},
                    memory_limit=0,
                    silence_logs=logging.CRITICAL,
                )
            ) as cluster,
            Client(cluster, set_as_default=False) as client,
        ):
            yield client
