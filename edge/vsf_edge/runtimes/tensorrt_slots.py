"""TensorRT for a live view: pinned memory, a context and a captured CUDA graph for every size of batch that comes.

One launch then copies in, computes and copies out, with nothing to allocate and no call per layer. Batches are padded
to the next power of two, so that few slots serve every number of cells. Where a card cannot capture, the same slot
queues copies and engine one by one.
"""

from __future__ import annotations

import ctypes
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt

from vsf_edge.errors import EdgeError

MOST_SLOTS = 6
"""Sizes of batches, or of frames, that are kept ready; the one that was not used for longest goes first."""

Call = Callable[..., tuple[Any, ...]]
"""Calls a function of CUDA by name and gives what it gives beside its status, or raises `EdgeError`."""


class Slots:
    """The slots of one engine.

    Parameters
    ----------
    call, cudart
        CUDA's functions, and its constants.
    make_context
        Makes an execution context of the engine.
    dtype_of
        Gives the NumPy dtype of a tensor.
    tensor, outputs
        Name of the input, and of all outputs.
    largest_batch
        What the engine was built for.
    """

    def __init__(
        self,
        call: Call,
        cudart: Any,
        make_context: Callable[[], Any],
        dtype_of: Callable[[str], Any],
        tensor: str,
        outputs: Sequence[str],
        largest_batch: int,
    ) -> None:
        self._call, self._cudart, self._make_context, self._dtype_of = call, cudart, make_context, dtype_of
        self._tensor, self._outputs, self._largest = tensor, outputs, largest_batch
        self._slots: OrderedDict[tuple[int, ...], _Slot] = OrderedDict()

    def run(self, frames: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
        """Run `frames`, encoded as the graph takes them; gives new arrays."""
        count = len(frames)
        padded = count if count > self._largest else min(1 << (count - 1).bit_length(), self._largest)
        shape = (padded, *frames.shape[1:])
        slot = self._slots.get(shape)
        if slot is None:
            if len(self._slots) >= MOST_SLOTS:
                self._slots.popitem(last=False)[1].close()
            slot = _Slot(self._call, self._cudart, self._make_context(), self._tensor, frames.dtype, shape)
            try:
                slot.prepare(self._outputs, self._dtype_of)
            except EdgeError:  # the card's memory is full: give back what was taken
                slot.close()
                raise
            self._slots[shape] = slot
        self._slots.move_to_end(shape)
        return {name: values[:count].copy() for name, values in slot.run(frames).items()}

    def close(self) -> None:
        """Give all memory back."""
        while self._slots:
            self._slots.popitem()[1].close()


class _Slot:
    """One shape of input."""

    def __init__(
        self, call: Call, cudart: Any, context: Any, tensor: str, dtype: npt.DTypeLike, shape: tuple[int, ...]
    ) -> None:
        if not context.set_input_shape(tensor, shape):
            raise EdgeError(f"the engine was not built for the shape {shape}: cut smaller images")
        self._call, self._cudart, self._context = call, cudart, context
        self._on_card: list[int] = []
        self._pinned: list[int] = []
        self._graph: Any = None
        (self._stream,) = call("cudaStreamCreate")
        self._tensor, self._dtype, self._shape = tensor, np.dtype(dtype), shape
        self._hosts: dict[str, npt.NDArray[Any]] = {}
        self._cards: dict[str, int] = {}

    def prepare(self, outputs: Sequence[str], dtype_of: Callable[[str], Any]) -> None:
        """Take the memory, run once so that nothing is set up any more, and capture."""
        self._take(self._tensor, self._shape, self._dtype)
        for name in outputs:
            self._take(name, tuple(self._context.get_tensor_shape(name)), np.dtype(dtype_of(name)))
        self._enqueue()
        self._call("cudaStreamSynchronize", self._stream)
        self._capture()

    def run(self, frames: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
        """Run; what it gives is overwritten by the next run."""
        self._hosts[self._tensor][: len(frames)] = frames
        if self._graph is None:
            self._enqueue()
        else:
            self._call("cudaGraphLaunch", self._graph, self._stream)
        self._call("cudaStreamSynchronize", self._stream)
        return {name: values for name, values in self._hosts.items() if name != self._tensor}

    def close(self) -> None:
        """Give the graph and the memory back."""
        if self._graph is not None:
            self._call("cudaGraphExecDestroy", self._graph)
            self._graph = None
        for address in self._on_card:
            self._call("cudaFree", address)
        for address in self._pinned:
            self._call("cudaFreeHost", address)
        self._on_card, self._pinned, self._hosts = [], [], {}
        self._call("cudaStreamDestroy", self._stream)

    def _take(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        """Take memory for a tensor on the card and pinned memory here, and tell the context."""
        size = max(1, int(np.prod(shape)) * dtype.itemsize)
        (card,) = self._call("cudaMalloc", size)
        self._on_card.append(int(card))
        (host,) = self._call("cudaHostAlloc", size, self._cudart.cudaHostAllocDefault)
        self._pinned.append(int(host))
        memory = (ctypes.c_ubyte * size).from_address(int(host))
        self._hosts[name] = np.ctypeslib.as_array(memory).view(dtype).reshape(shape)
        self._hosts[name][...] = 0
        self._cards[name] = int(card)
        if not self._context.set_tensor_address(name, int(card)):
            raise EdgeError(f"the engine does not take the tensor {name}: build it again")

    def _enqueue(self) -> None:
        kinds = self._cudart.cudaMemcpyKind
        host = self._hosts[self._tensor]
        to_card = kinds.cudaMemcpyHostToDevice
        self._call("cudaMemcpyAsync", self._cards[self._tensor], host.ctypes.data, host.nbytes, to_card, self._stream)
        if not self._context.execute_async_v3(int(self._stream)):
            raise EdgeError("TensorRT failed on a batch: see 'vsf-edge inspect --check'")
        for name, values in self._hosts.items():
            if name != self._tensor:
                back = kinds.cudaMemcpyDeviceToHost
                self._call("cudaMemcpyAsync", values.ctypes.data, self._cards[name], values.nbytes, back, self._stream)

    def _capture(self) -> None:
        """Record the queue as a graph; without one, it is queued anew every time."""
        graph: Any = None
        try:
            mode = self._cudart.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
            self._call("cudaStreamBeginCapture", self._stream, mode)
            try:
                self._enqueue()
            finally:
                (graph,) = self._call("cudaStreamEndCapture", self._stream)
            (self._graph,) = self._call("cudaGraphInstantiate", graph, 0)
        except EdgeError:  # an engine with layers that no graph holds, or an old driver
            self._graph = None
        if graph is not None:
            with suppress(EdgeError):  # a capture that failed may leave none
                self._call("cudaGraphDestroy", graph)
