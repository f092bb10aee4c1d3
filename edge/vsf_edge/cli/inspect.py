"""``vsf-edge inspect``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from vsf_edge.bundle import Bundle


@click.command("inspect")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--check", is_flag=True, help="Run its reference images here and compare with what torch gave.")
@click.option("--runtime", default="onnxruntime", show_default=True, help="Runtime to check with.")
@click.option("--verify", type=click.Path(path_type=Path, dir_okay=False), metavar="PUB",
              help="Fail unless it was signed with the private half of this Ed25519 public key (PEM).")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(model: Path, check: bool, runtime: str, verify: Path | None, as_json: bool) -> None:
    """Verify a model and say what it takes and gives.

    MODEL is a .vsf file; the SHA-256 of every file in it is checked.
    """
    from vsf_edge.bundle import open_bundle
    from vsf_edge.parity import check as check_parity
    from vsf_edge.plugins import plugins
    from vsf_edge.signature import verify_signature

    with open_bundle(model) as bundle:
        if verify:
            verify_signature(bundle, verify)
        signature = "none" if bundle.signature is None else "verified" if verify else "signed, not verified"
        document: dict[str, Any] = {"path": str(model), "bundle_sha256": bundle.sha256}
        document["signature"] = signature
        document["manifest"] = dict(bundle.manifest.document)
        if check:
            session = plugins().find("runtime", runtime).create().open(bundle)
            document["check"] = {"runtime": runtime, **check_parity(bundle, session).record()}
        if as_json:
            click.echo(json.dumps(document, indent=2, sort_keys=True))
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
