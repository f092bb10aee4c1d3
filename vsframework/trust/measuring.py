"""What one worker does of ``vsf quantify``: an image to its values, and the answer that lies beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vsframework.inference.files import measure_file
from vsframework.plugins import registry
from vsframework.trust.answers import Answer, read_answer


@dataclass(frozen=True, kw_only=True)
class MeasureRequest:
    """What all images of one ``vsf quantify`` share: names of the components, and the channels to measure."""

    quantifier: str
    denoiser: str | None = None
    stains: tuple[str, ...] = ()


def measure_image(request: MeasureRequest, image: Path) -> tuple[dict[str, float], Answer | None]:
    """Measure one image, and read the answer beside it.

    Raises
    ------
    UsageError
        When the request is wrong for every image.
    VsfError
        When the image is.
    """
    quantifier = registry().create("quantifier", request.quantifier)
    denoiser = registry().create("denoiser", request.denoiser) if request.denoiser else None
    return measure_file(image, quantifier, denoiser, request.stains), read_answer(image)
