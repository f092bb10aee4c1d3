"""``ecc``: bounded alignment, refined by enhanced correlation coefficient maximisation.

Source: Evangelidis & Psarakis, IEEE TPAMI 2008, in OpenCV's implementation.
"""

from __future__ import annotations

import cv2
import numpy as np
from pydantic import Field

from vsf_plugins.registrars.alignment import Alignment, AlignmentParams, Views, nearest_of_model, window
from vsf_plugins.registrars.search import Matrix
from vsframework import Component


class EccParams(AlignmentParams):
    """What ``ecc`` can be told."""

    iterations: int = Field(30, ge=1, le=1000, description="Most iterations of each of the two passes.")


class Ecc(Alignment):
    """Aligns two images of one field by the correlation of their outlines.

    Examples
    --------
    >>> import numpy as np
    >>> from vsf_plugins.registrars.ecc import Ecc, EccParams
    >>> registration = Ecc(EccParams()).register(np.zeros((64, 64)), np.ones((64, 64)))
    >>> registration.accepted, registration.reason
    (False, 'the moving image is constant')
    """

    params: EccParams

    def __init__(self, params: EccParams) -> None:
        super().__init__(params)

    def improve(self, views: Views, start: Matrix) -> Matrix | str:
        """Maximise the correlation from `start`; the matrix stays what it was where that does not converge."""
        motion = cv2.MOTION_TRANSLATION if self.params.model == "translation" else cv2.MOTION_AFFINE
        criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, self.params.iterations, 1e-5)
        matrix = start
        for _ in range(2):  # the second pass compares what the model of the first one can express
            seen, mask = window(views, matrix)
            identity = np.eye(2, 3, dtype=np.float32)
            try:
                _, found = cv2.findTransformECC(views.moving, seen, identity, motion, criteria, mask, 3)
            except cv2.error:
                return "the correlation does not converge to a position"
            matrix = matrix @ np.vstack([found, [0.0, 0.0, 1.0]])
            if not np.isfinite(matrix).all():
                return "the correlation does not converge to a position"
            matrix = nearest_of_model(matrix, views.points, self.params.model)
        return matrix


COMPONENT = Component(
    name="ecc",
    build=Ecc,
    params=EccParams,
    summary="Aligns two modalities of one field, turned and scaled a little: correlated outlines, refined by ECC.",
)
