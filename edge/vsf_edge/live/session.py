"""A live session: the threads, what connects them, and how it ends.

::

    acquire --frames--> prepare --prepared--> stain --stained--> measure --> sinks, a thread and a queue each

The gates judge a frame's patches in a thread of their own while the network stains them; ``measure`` waits for both.
Each stage is a thread; NumPy, OpenCV and the runtimes let the others run meanwhile. A stage takes its next item only
when there is room for what it makes, and with the policy ``latest`` no more frames are inside at once than processors
can work on, so that nothing grows old there: the frame that is taken is the newest one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from vsf_edge.frames import Frame, FrameResult, LiveSession
from vsf_edge.live.acquiring import Acquisition
from vsf_edge.live.controls import SessionControls
from vsf_edge.live.delivery import Delivery
from vsf_edge.live.judging import Judging
from vsf_edge.live.log import log, log_notice
from vsf_edge.live.measuring import Measuring
from vsf_edge.live.notices import Notices
from vsf_edge.live.parts import Parts, trust_table
from vsf_edge.live.possible import possible
from vsf_edge.live.preparing import Preparing
from vsf_edge.live.queues import BoundedQueue, ClosedError
from vsf_edge.live.settings import LoopSettings
from vsf_edge.live.staining import Staining
from vsf_edge.live.statistics import Statistics
from vsf_edge.live.work import Work

STOPPING_S = 1.8
"""From being told to stop to the end, at most; what hangs then is left."""

FOR_SINKS_S = 0.8
"""What of that is left for the sinks."""

STATISTICS_EVERY_S = 10.0


class LiveLoop:
    """One session: build it, then `run`; `stop` may be called from any thread, `ask_to_stop` from a signal handler too.

    Attributes
    ----------
    statistics
        What happened so far.
    notices
        Where to listen to what a user should know.
    hung
        Whether a thread did not stop in time and was left: then the process must be ended by force.
    """

    def __init__(self, parts: Parts, settings: LoopSettings, described: Mapping[str, object] | None = None) -> None:
        self.statistics = Statistics()
        self.notices = Notices()
        self.hung = self._asked = False
        self.notices.listen(lambda notice: self.statistics.note(notice.kind))
        self.notices.listen(log_notice)
        self._parts, self._settings = parts, settings
        self._stop = threading.Event()
        self._stopped_at = 0.0
        self._ended = threading.Event()
        self._error: Exception | None = None
        manifest = parts.bundle.manifest
        self._frames: BoundedQueue[Frame] = BoundedQueue(1 if settings.policy == "latest" else settings.waiting_frames)
        self._prepared: BoundedQueue[Work] = BoundedQueue(1)
        self._stained: BoundedQueue[Work] = BoundedQueue(1)
        inside = settings.in_flight if settings.policy == "latest" else settings.waiting_frames
        self._inside = threading.Semaphore(inside)
        self._delivery = Delivery(self.notices, self.statistics, settings.waiting_results)
        self.controls = SessionControls(self._delivery, self.notices, settings.folder, parts.make_recording)
        self._preparing = Preparing(manifest, parts.make_detector, settings.mode, self.notices, str(parts.bundle.path))
        self._staining = Staining(manifest, parts.session, parts.reopen, settings, self.notices, self._stop_now)
        table = trust_table(parts.bundle)
        self._judging = Judging(table)
        self._ranges = {} if table is None else table.ranges
        self._measuring = Measuring(manifest, table, self.notices, self.statistics, self._queues)
        self._acquisition = Acquisition(
            parts.source, self._frames, settings, self.notices, self.statistics, self._stop, self._fail,
            lambda: self.controls.paused,
        )  # fmt: skip
        self.session = LiveSession(
            manifest=manifest,
            bundle_sha256=parts.bundle.sha256,
            simulated=bool(manifest.simulated),
            engine=parts.engine,
            source=parts.source_name,
            mode=settings.mode,
            policy=settings.policy,
            settings=dict(described or {}),
            controls=self.controls,
        )

    def run(self) -> None:
        """Run until the source ends, `stop` is called, or the frames or seconds asked for are over.

        Raises
        ------
        EdgeError
            When a sink cannot start, the source refuses its address, or the model cannot work on these frames.
        """
        threads = [
            threading.Thread(target=target, name=name, daemon=True)
            for name, target in (
                ("acquire", self._acquisition.run),
                ("prepare", self._prepare),
                ("stain", self._stain),
                ("measure", self._measure),
            )
        ]
        try:
            self._start_sinks()
            log("started", {"source": self.session.source, "engine": self.session.engine, "mode": self.session.mode})
            started = time.monotonic()
            for thread in threads:
                thread.start()
            self._wait(started)
        finally:
            self.stop()
            self._join(threads)
            log("ended", self.statistics.document())
        if self._error is not None:
            raise self._error

    def ask_to_stop(self) -> None:
        """End soon; takes no lock, which a signal handler must not."""
        self._asked = True

    def stop(self) -> None:
        """End soon: within two seconds everything is closed."""
        if not self._stop.is_set():
            self._stopped_at = time.monotonic()
            self._stop.set()
        self._inside.release(1000)  # nobody waits for his turn any more
        self._ended.set()

    def _stop_now(self) -> bool:
        """Whether a frame is to be left half done: half of the time for stopping is over."""
        return self._stop.is_set() and time.monotonic() > self._stopped_at + STOPPING_S / 3

    def _start_sinks(self) -> None:
        threads = {
            name: self._delivery.add(name, sink, self.session, awaited=True) for name, sink in self._parts.sinks.items()
        }
        for thread in threads.values():
            thread.wait_started()
        self.controls.begin(self.session, threads.get("recording"))
        if self.session.simulated:
            self._say(
                "info", "simulated", "the model was trained on simulated images: its numbers are for trying out only"
            )
        if self.session.manifest.documents.get("trust") is None:
            self._say("warning", "no-trust-table", "the model has no trust table, so no cell is turned away and no "
                      "value has an interval: run 'vsf calibrate' and export it again")  # fmt: skip

    def _wait(self, started: float) -> None:
        """Wait for the end; meanwhile log the numbers, and watch that the source answers."""
        logged, seconds = started, self._settings.seconds
        while not self._ended.wait(0.05):
            now = time.monotonic()
            if self._asked or (seconds is not None and now - started >= seconds):
                return
            if now - logged >= STATISTICS_EVERY_S:
                logged = now
                log("statistics", self.statistics.document())
            self._see_source(now - self._acquisition.alive_at)

    def _see_source(self, quiet: float) -> None:
        """Tell where the source has not answered for too long."""
        opening, settings = self._acquisition.opening, self._settings
        if quiet > (settings.opening_s if opening else settings.stall_s + settings.last_retry_s):
            what = "is still being opened after" if opening else "has not answered for"
            self._say("error", "source-hangs", f"the source {what} {quiet:.0f} s: unplug it, or restart")

    def _join(self, threads: list[threading.Thread]) -> None:
        """Let the stages finish what they have, then the sinks; what hangs is left when the time is over."""
        end = self._stopped_at + STOPPING_S
        if self._settings.policy == "latest":
            self._forget(self._frames)
        for thread in threads:
            if thread.ident is None:  # it never began
                continue
            thread.join(max(0.0, end - FOR_SINKS_S - time.monotonic()))
            if thread.is_alive():
                self.hung = True
                self._say("error", "stage-hangs", f"the stage {thread.name} did not stop in time and was left")
        self._judging.close()
        for queue in (self._frames, self._prepared, self._stained):
            self._forget(queue)
        self._delivery.close(max(0.3, end - time.monotonic()))

    def _forget(self, queue: BoundedQueue[Any]) -> None:
        """Close a queue, and count what was in it."""
        if count := queue.close(empty=True):
            self.statistics.drop("stopped", count)

    # ------------------------------------------------------------------------------------------------- the stages

    def _prepare(self) -> None:
        def work(frame: Frame) -> Work:
            made = Work(frame=frame)
            self._preparing(made)
            self._judging.begin(made)
            return made

        self._pump(self._frames, work, self._prepared, self._inside)

    def _stain(self) -> None:
        def work(item: Work) -> Work:
            self._staining(item)
            return item

        self._pump(self._prepared, work, self._stained)

    def _measure(self) -> None:
        try:
            while True:
                item = self._stained.get()
                assert item is not None
                result = possible(self._measuring(item), self._ranges)
                self._inside.release()
                self._deliver(result)
        except ClosedError:
            pass
        except Exception as error:
            self._fail(error)
        self._inside.release(1000)
        self._ended.set()

    def _deliver(self, result: FrameResult) -> None:
        self.statistics.add(result)
        if not result.sequence:
            log("first-result", {"latency_ms": round(result.latency_ms, 3), "cells": len(result.cells)})
        self._delivery.give(result, self._stop.is_set)
        if self._settings.frames is not None and result.sequence + 1 >= self._settings.frames:
            self._forget(self._stained)
            raise ClosedError

    def _pump(
        self,
        source: BoundedQueue[Any],
        act: Callable[[Any], Work],
        target: BoundedQueue[Work],
        permits: threading.Semaphore | None = None,
    ) -> None:
        inside = False
        try:
            while True:
                target.wait_for_room()
                if permits is not None:
                    permits.acquire()
                item = source.get()
                assert item is not None
                inside = True
                target.put(act(item))
                inside = False
        except ClosedError:
            if inside:  # it was being worked on when the session ended
                self.statistics.drop("stopped")
        except Exception as error:
            self._fail(error)
        source.close()
        target.close()

    # ---------------------------------------------------------------------------------------------------- the rest

    def _queues(self) -> dict[str, int]:
        queues = {"frames": len(self._frames), "prepared": len(self._prepared), "stained": len(self._stained)}
        return {**queues, **self._delivery.queues()}

    def _fail(self, error: Exception) -> None:
        """End the session with `error`."""
        if self._error is None:
            self._error = error
        self.stop()

    def _say(self, level: Any, kind: str, text: str) -> None:
        self.notices.tell(level, kind, text)
