"""Untrained bundles for the benchmark of the live loop: full-size networks, every gate, and intervals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from vsf_edge.bundle import open_bundle
from vsf_edge.plugins import plugins
from vsf_export.bundle import TRUST_NAME, write_bundle
from vsf_export.targets.onnx_graph import OnnxTarget
from vsf_export.targets.onnx_params import OnnxParams
from vsframework.inference.receptive_field import halo_of
from vsframework.interfaces import ExportSpec
from vsframework.plugins import registry

SIDE, FIELD_PX = 256, 150
STAINS = ("dsDNA", "ssDNA")
NETWORKS = {"fast": 2, "pix2pix": 1}
"""How many stains one network gives: the paper trains one of its generators per stain."""


def make_bundle(generator: str, path: Path) -> None:
    """Export an untrained `generator` for both stains, with a trust table that lets every cell through."""
    part = registry().create("generator", generator, {})
    outputs = NETWORKS[generator]
    networks = [part.deploy(part.networks(1, outputs, SIDE).generator) for _ in range(len(STAINS) // outputs)]
    quantifier = registry().create("quantifier", "dfi", {})
    spec = ExportSpec(
        in_channels=1,
        stains=STAINS,
        image_size=SIDE,
        stride=32 if generator == "fast" else SIDE,
        brightfield_full_scale=255.0,
        stain_full_scale=(154.0, 39.0),
        quantifier=quantifier,
        reference=np.random.default_rng(0).integers(0, 256, (2, 1, SIDE, SIDE)).astype(np.float32),
        field_px=FIELD_PX,
        halo_px=halo_of(networks, 1, 32, 2 * SIDE) if generator == "fast" else None,
    )
    OnnxTarget(OnnxParams(precisions=("fp32",), max_batch=64, max_side=2048 if generator == "fast" else 0)).export(
        networks, spec, path
    )
    with open_bundle(path) as bundle:
        manifest = dict(bundle.manifest.document)
        files = {name: bundle.read(name) for name in bundle.manifest.files}
    del manifest["documents"]
    names = [quantity.name for quantity in quantifier.quantities]
    write_bundle(path, manifest, {**files, TRUST_NAME: json.dumps(trust_table(names)).encode("utf-8")})


def trust_table(quantities: list[str]) -> dict[str, Any]:
    """Give a trust table with every gate of this environment, without limits, and with intervals."""
    gates = plugins().of("gate")
    return {
        "format": "vsframework-trust",
        "schema_version": 1,
        "planes": 1,
        "size": SIDE,
        "full_scale": 255.0,
        "gates": {"table": [_gate(plugin) for plugin in gates]},
        "intervals": {"coverage": 0.9, "missing": ""},
        "quantities": [
            {
                "name": name,
                "difficulty": {
                    "constant": 0.02,
                    "floor": 0.01,
                    "middle": 0.2,
                    "scale": 0.1,
                    "weights": [0.01] * (len(gates) + 2),
                },
                "interval": {"quantile": 2.0},
            }
            for name in quantities
        ],
    }


def _gate(plugin: Any) -> dict[str, Any]:
    gate = plugin.create()
    names = [measure.name for measure in gate.measures]
    measures = [
        {"name": name, "too_low": "", "too_high": "", "middle": 0, "below": 1, "above": 1, "low": None, "high": None}
        for name in names
    ]
    together = bool(gate.together)
    return {
        "name": plugin.name,
        "version": gate.version,
        "distribution": "vsf-edge",
        "distribution_version": "0",
        "parameters": {},
        "together": gate.together,
        "measures": measures,
        "precision": np.eye(len(names)).tolist() if together else None,
        "limit": 1e9 if together else None,
    }
