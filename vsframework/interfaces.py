"""One Protocol per kind of component: what it takes, what it gives, and when it is called.

Arrays are numpy unless said; shapes stand in brackets. Image coordinates: x to the right, y down, the centre of the
first pixel at (0, 0). Fluorescence stays linear and in camera counts. Stains are ordered as the experiment file lists
them, the reference stain (dsDNA) first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from vsframework.gates import Gate as Gate
from vsframework.gates import GateMeasure as GateMeasure
from vsframework.readers import Reader as Reader
from vsframework.readers import StoredPlanes as StoredPlanes

if TYPE_CHECKING:
    from torch import nn

FloatArray: TypeAlias = npt.NDArray[np.floating[Any]]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
ImageArray: TypeAlias = npt.NDArray[np.generic]
"""A 2-D image [H, W] of any integer or floating dtype."""


# --------------------------------------------------------------------------------------------------- registrars


@dataclass(frozen=True, kw_only=True)
class Registration:
    """Where `moving` lies in `fixed`, and whether to believe it.

    Attributes
    ----------
    matrix
        3x3, float64; takes homogeneous moving pixels to fixed pixels. Meaningless unless `accepted`.
    model
        ``"translation"``, ``"rigid"``, ``"similarity"``, ``"affine"`` or ``"homography"``.
    matches, inliers
        How many correspondences were found, and how many agree with `matrix`. 0 for methods without features.
    residual_px
        Root mean square distance of the inliers in fixed pixels; NaN where the method has none.
    similarity
        Normalised correlation of the two images after warping, -1 to 1; NaN where it was not computed.
    pairs
        The inliers for the eye, float64 [N, 2, 2]: (x, y) in moving and in fixed pixels; None for methods without
        features.
    accepted, reason
        The decision, and the sentence that explains it (also when accepted).
    """

    matrix: npt.NDArray[np.float64]
    model: str
    matches: int = 0
    inliers: int = 0
    residual_px: float = float("nan")
    similarity: float = float("nan")
    pairs: npt.NDArray[np.float64] | None = None
    accepted: bool
    reason: str


@runtime_checkable
class Registrar(Protocol):
    """Finds where one image lies in another.

    Called by ``vsf dataset build`` once per cell (a brightfield patch in its brightfield field) or once per field (a
    fluorescence field against its brightfield field).

    Examples
    --------
    A registrar that believes the microscope: nothing moved.

    >>> import numpy as np
    >>> from vsframework.interfaces import Registration
    >>> class Unmoved:
    ...     def prepare(self, fixed):
    ...         return fixed
    ...     def register(self, moving, fixed):
    ...         return Registration(matrix=np.eye(3), model="translation", accepted=True, reason="taken as aligned")
    """

    def prepare(self, fixed: ImageArray) -> Any:
        """Describe `fixed` [H, W] once, for many calls of `register`. May return `fixed` itself."""

    def register(self, moving: ImageArray, fixed: Any) -> Registration:
        """Find `moving` [h, w] in `fixed`: an image [H, W], or what `prepare` gave for one.

        Never raises for images that cannot be matched (blank, too small, unrelated): it returns a `Registration`
        that is not accepted, with the reason.
        """


# ---------------------------------------------------------------------------------------------------- detectors


@dataclass(frozen=True, kw_only=True)
class Detection:
    """One cell of a field, or one tile of it.

    Attributes
    ----------
    x, y
        Centre of the head in field pixels.
    angle
        Direction from the tail to the tip of the head, in radians, from the x axis towards the y axis (clockwise as
        seen on the screen), in (-pi, pi].
    length
        Length of the head along that direction, in pixels.
    score
        Confidence, 0 to 1.
    """

    x: float
    y: float
    angle: float
    length: float
    score: float


@runtime_checkable
class Detector(Protocol):
    """Finds the cells of a brightfield field, or whatever is to be cut out of it. Called once per field.

    Of a z stack it sees the middle plane.
    """

    def detect(self, field: ImageArray) -> Sequence[Detection]:
        """Find cells in `field` [H, W]; best first, none for a blank field."""


# ---------------------------------------------------------------------------------------------------- denoisers


@dataclass(frozen=True, kw_only=True)
class Denoised:
    """A fluorescence patch without its background.

    Attributes
    ----------
    stains
        float32 [C, H, W], counts, >= 0.
    background
        float64 [C], the level removed per channel, counts.
    mask
        bool [H, W], the pixels from which the background was read.
    """

    stains: npt.NDArray[np.float32]
    background: npt.NDArray[np.float64]
    mask: BoolArray


@runtime_checkable
class Denoiser(Protocol):
    """Removes the background of a fluorescence patch. Called once per cell, before training and before measuring.

    One that changes nothing on purpose says so with an attribute ``passes_through = True``.
    """

    def denoise(self, stains: npt.NDArray[np.generic]) -> Denoised:
        """Remove the background of `stains` [C, H, W], raw counts, reference stain (dsDNA) first."""


# --------------------------------------------------------------------------------------------------- generators


@dataclass(frozen=True, kw_only=True)
class Networks:
    """What is trained: a generator, and the discriminator that judges it (None for a plain regression)."""

    generator: nn.Module
    discriminator: nn.Module | None


@runtime_checkable
class Generator(Protocol):
    """An architecture that turns brightfield into stains.

    `networks` is called once at the start of training (and again when a checkpoint is loaded); `deploy` whenever a
    trained generator is used for measuring or exported.
    """

    @property
    def stride(self) -> int:
        """Height and width of an input must be multiples of this, in pixels."""

    def networks(self, in_channels: int, out_channels: int, image_size: int) -> Networks:
        """Build fresh networks, initialised, in training mode.

        The generator takes [N, in_channels, H, W] in [-1, 1] and gives [N, out_channels, H, W] in [-1, 1]. The
        discriminator takes the pair of both concatenated, [N, in_channels + out_channels, H, W], and gives logits
        [N, 1, h, w], one per receptive field.

        Raises
        ------
        UsageError
            When `image_size` (the patch side in pixels) is not a multiple of `stride`.
        """

    def deploy(self, generator: nn.Module) -> nn.Module:
        """Give the form of a trained `generator` to measure with: no layer depends on the batch, nothing is random.

        With ``training.mode = "deploy"`` the dropout of `generator` is gone and torch's batch, instance and group
        normalisation are layers that scale and shift by held statistics
        (`vsframework.training.fixed_statistics.FixableNorm`); leave these as they are.
        """


# -------------------------------------------------------------------------------------------------- quantifiers


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """A named value that a quantifier gives: its name, its unit ("1" for a ratio), and what it means.

    `lowest` and `highest` are the ends of what it can be at all, whatever the stains are (a share is 0 to 1); None
    where there is no end. No interval reaches beyond them.
    """

    name: str
    unit: str
    description: str
    lowest: float | None = None
    highest: float | None = None


@runtime_checkable
class Quantifier(Protocol):
    """Turns stains into named numbers per cell.

    Written against the array-API standard (``array_api_compat.array_namespace``), so that one definition runs in
    NumPy for evaluation, in torch as a training loss, and is traced into the exported graph.
    """

    @property
    def quantities(self) -> Sequence[Quantity]:
        """What `measure` gives, the value of interest first."""

    def measure(self, stains: Any, channels: Sequence[str]) -> Mapping[str, Any]:
        """Measure `stains` [..., C, H, W], >= 0, background removed, counts (or any linear unit all channels share).

        `channels` names the C channels. Every value has the shape [...].
        """


# --------------------------------------------------------------------------------------------------- regressors


class FittedRegressor(Protocol):
    """What a regressor has learnt."""

    def predict(self, brightfield: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Predict the quantity of each of `brightfield` [N, P, H, W], counts: [N], finite, in the unit learnt.

        A cell's value does not depend on the cells beside it, and N may be 0.
        """


@runtime_checkable
class Regressor(Protocol):
    """Learns a quantity directly from brightfield, without stains: what virtual staining has to beat.

    `fit` is called once per set of training donors by ``vsf evaluate`` and ``vsf run``, with patches that all have the
    same size, whole in memory. What it gives is used in the same process and never written to disk.

    Examples
    --------
    A regressor that looks at nothing: the median of the training cells.

    >>> import numpy as np
    >>> class Constant:
    ...     def fit(self, brightfield, values, donors, seed):
    ...         self.median = np.median(values)
    ...         return self
    ...     def predict(self, brightfield):
    ...         return np.full(len(brightfield), self.median)
    """

    def fit(
        self,
        brightfield: npt.NDArray[np.float32],
        values: npt.NDArray[np.float64],
        donors: Sequence[str],
        seed: int,
    ) -> FittedRegressor:
        """Learn `values` [N], finite and of any unit and scale, from `brightfield` [N, P, H, W], counts.

        `donors` [N] says whose cell each is, for whoever wants to weigh donors or to hold some out. The same input
        and `seed` give the same predictions on the same machine, and the random generators of NumPy and torch are
        left as they were.
        """


# ------------------------------------------------------------------------------------------------------- export


@dataclass(frozen=True, kw_only=True)
class ExportSpec:
    """What an export target must know beside the networks.

    Attributes
    ----------
    in_channels
        Number of brightfield planes.
    stains
        Names of the output channels in order; generator outputs are concatenated to it.
    image_size, stride
        Side of a training patch, and the multiple that height and width must be of, in pixels.
    brightfield_full_scale
        The count that maps to +1 at the input (0 maps to -1).
    stain_full_scale
        Per stain, the count that +1 at the output stands for (-1 is 0 counts).
    quantifier
        Measured inside the exported graph.
    reference
        Brightfield patches [N, in_channels, H, W], counts, to check parity on: of cells that no training saw.
    cells
        Name of each of them, to name the worst one; numbered where it is empty.
    calibration
        Brightfield patches [N, in_channels, H, W], counts, of training donors, from which int8 takes its ranges; None
        where there are none.
    metadata
        Provenance to carry along: JSON values only.
    field_px, pixel_size_um
        Side of the square that is cut around a head, in pixels of a field of training, and the side of such a pixel in
        micrometres; None where it is not known.
    simulated
        Whether the training images were simulated; None where it is not known.
    halo_px
        How far the networks see, in pixels; None where they see their whole image.
    """

    in_channels: int
    stains: tuple[str, ...]
    image_size: int
    stride: int
    brightfield_full_scale: float
    stain_full_scale: tuple[float, ...]
    quantifier: Quantifier
    reference: npt.NDArray[np.float32]
    cells: tuple[str, ...] = ()
    calibration: npt.NDArray[np.float32] | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    field_px: int | None = None
    pixel_size_um: float | None = None
    simulated: bool | None = None
    halo_px: int | None = None


@dataclass(frozen=True, kw_only=True)
class ExportRecord:
    """What an export wrote, and how far its output is from torch's (parity: names to numbers)."""

    files: tuple[Path, ...]
    parity: Mapping[str, float]


@runtime_checkable
class ExportTarget(Protocol):
    """Compiles trained generators for another runtime. Called by ``vsf export``."""

    def export(self, generators: Sequence[nn.Module], spec: ExportSpec, out: Path) -> ExportRecord:
        """Write deploy-mode `generators` for this target to the path `out`; all or nothing.

        Raises
        ------
        VsfError
            When this machine cannot build it (and what it would need), or when parity fails.
        """
