"""``vsf-edge inspect``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vsf_edge.cli import options

if TYPE_CHECKING:
    from vsf_edge.bundle import Bundle


@click.command("inspect")
@options.model
@click.option("--check", is_flag=True, help="Run its reference images here and compare with what torch gave.")
@click.option("--runtime", default="onnxruntime:cpu", show_default=True, metavar="NAME:DEVICE", help="To check with.")
@click.option("--precision", default="fp32", show_default=True, help="To check.")
@click.option("--card", is_flag=True, help="Print the model card instead.")
@options.verify
@options.as_json
def command(
    model: Path, check: bool, runtime: str, precision: str, card: bool, verify: Path | None, as_json: bool
) -> None:
    """Verify a model and say what it takes and gives.

    MODEL is a .vsf file; the SHA-256 of every file in it is checked.
    """
    from vsf_edge.interfaces import Plan
    from vsf_edge.parity import check as check_parity
    from vsf_edge.plugins import plugins

    with options.opened(model, verify) as bundle:
        signature = "none" if bundle.signature is None else "verified" if verify else "signed, not verified"
        document: dict[str, Any] = {"path": str(model), "bundle_sha256": bundle.sha256, "signature": signature}
        document["manifest"] = dict(bundle.manifest.document)
        if check:
            name, _, device = runtime.partition(":")
            plan = Plan(device=device or "cpu", precision=precision)
            session = plugins().find("runtime", name).create().open(bundle, plan)
            used = {"runtime": name, "device": plan.device, "precision": precision}
            document["check"] = {**used, **check_parity(bundle, session, precision).record()}
        if as_json:
            click.echo(json.dumps(document, indent=2, sort_keys=True))
            return
        if card:
            click.echo((bundle.document("card") or b"There is no model card.").decode("utf-8", "replace"))
            return
        _print(bundle, signature)
    for name, value in document.get("check", {}).items():
        click.echo(f"Checked     {name}: {value}")


def _print(bundle: Bundle, signature: str) -> None:
    manifest = bundle.manifest
    side = f"multiples of {manifest.stride}"
    size = f"{manifest.height or side} x {manifest.width or side} px"
    click.echo(f"Model       {bundle.path}: all {len(manifest.files)} files verified")
    click.echo(f"Use         {manifest.intended_use}")
    click.echo(
        f"Takes       {manifest.in_channels} brightfield plane(s), {size}, 0 to {manifest.input_full_scale:g} counts"
    )
    for stain in manifest.stains:
        click.echo(f"Stain       {stain.name}, 0 to {stain.full_scale:g} counts")
    for quantity in manifest.quantities:
        click.echo(f"Quantity    {quantity.name} [{quantity.unit}]: {quantity.description}")
    click.echo(f"Precisions  {', '.join(bundle.precisions)}")
    click.echo(f"Documents   {', '.join(manifest.documents.values()) or 'none'}")
    click.echo(f"Identity    {bundle.sha256}")
    click.echo(f"Signature   {signature}")
