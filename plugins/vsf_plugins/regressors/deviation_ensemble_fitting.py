"""The mean of what measured descriptors and small networks say about a cell's deviation from its donor's others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from vsf_plugins.regressors.deviation_ensemble import DeviationEnsembleParams
from vsf_plugins.regressors.donor_deviation import DeviationScale, deviations
from vsf_plugins.regressors.head_descriptors import HeadDescriptorsParams
from vsf_plugins.regressors.head_descriptors_fitting import FittedHeadDescriptors, HeadDescriptors
from vsf_plugins.regressors.small_cnn import SmallCnnParams
from vsf_plugins.regressors.small_cnn_training import FittedSmallCnn, SmallCnn
from vsf_plugins.regressors.transmission import transmission
from vsframework.errors import VsfError

Patches = npt.NDArray[np.float32]


class DeviationEnsemble:
    """Fits the descriptors and the networks to the same deviations; networks see transmission instead of counts."""

    def __init__(self, params: DeviationEnsembleParams) -> None:
        self.params = params

    def fit(
        self,
        brightfield: Patches,
        values: npt.NDArray[np.float64],
        donors: Sequence[str],
        seed: int,
    ) -> FittedDeviationEnsemble:
        """Learn `values` [N] from `brightfield` [N, P, H, W].

        Raises
        ------
        VsfError
            When there are fewer than two cells.
        """
        if len(values) < 2:
            raise VsfError(f"deviation-ensemble cannot learn from {len(values)} cells; it needs 2 or more")
        params = self.params
        wanted, scale = deviations(values, donors)
        descriptors = HeadDescriptors(HeadDescriptorsParams()).fit(brightfield, wanted, donors, seed)
        small = SmallCnn(SmallCnnParams(size=params.size, epochs=params.epochs, dropout=params.dropout))
        seeds = np.random.SeedSequence(seed).generate_state(params.networks)
        seen = seen_by_networks(brightfield, params) if params.networks else brightfield
        networks = [small.fit(seen, wanted, donors, int(one)) for one in seeds]
        return FittedDeviationEnsemble(params, descriptors, networks, scale)


class FittedDeviationEnsemble:
    """The fitted members, and the scale of the deviations."""

    def __init__(
        self,
        params: DeviationEnsembleParams,
        descriptors: FittedHeadDescriptors,
        networks: Sequence[FittedSmallCnn],
        scale: DeviationScale,
    ) -> None:
        self._params = params
        self._descriptors = descriptors
        self._networks = networks
        self._scale = scale

    def predict(self, brightfield: Patches) -> npt.NDArray[np.float64]:
        """Predict the quantity of each of `brightfield` [N, P, H, W]; all networks together count as much as the rest.

        Networks see each patch and its mirror image, so the prediction is the same for both.
        """
        found = self._descriptors.predict(brightfield)
        if self._networks and len(brightfield):
            seen = seen_by_networks(brightfield, self._params)
            mirrored = np.ascontiguousarray(seen[:, :, ::-1])
            answers = [network.predict(view) for network in self._networks for view in (seen, mirrored)]
            found = (found + np.mean(answers, axis=0)) / 2
        return self._scale.values(found)


def seen_by_networks(brightfield: Patches, params: DeviationEnsembleParams) -> Patches:
    """Give the middle of each patch as transmission: [N, P, size, size]."""
    views = [[transmission(plane, params.size, params.kept) for plane in patch] for patch in brightfield]
    return np.array(views, dtype=np.float32).reshape(*brightfield.shape[:2], params.size, params.size)
