"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from vsf_edge.bundle import Bundle
    from vsf_edge.choice import Choice


model = click.argument("model", type=click.Path(path_type=Path))

runtime = click.option(
    "--runtime",
    default="auto",
    show_default=True,
    metavar="NAME[:DEVICE]",
    help="What runs the graph, such as onnxruntime, onnxruntime:cuda or openvino; auto takes the fastest here.",
)

precision = click.option(
    "--precision",
    default="auto",
    show_default=True,
    help="fp32, fp16 or int8, of those that the bundle has; auto never takes int8.",
)

verify = click.option(
    "--verify",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="PUB",
    help="Fail unless it was signed with the private half of this Ed25519 public key (PEM).",
)

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def opened(path: Path, verify: Path | None) -> Bundle:
    """Open a bundle, and check its signature where a key is given."""
    from vsf_edge.bundle import open_bundle

    bundle = open_bundle(path)
    if verify:
        from vsf_edge.signature import verify_signature

        try:
            verify_signature(bundle, verify)
        except BaseException:
            bundle.close()
            raise
    return bundle


def ready(bundle: Bundle, runtime: str, precision: str, rebuild: bool = False) -> Choice:
    """Choose and load what runs `bundle`, telling on standard error what takes long."""
    from vsf_edge.choice import choose
    from vsf_edge.plugins import plugins

    return choose(
        bundle, plugins(), runtime, precision, rebuild=rebuild, tell=lambda sentence: click.echo(sentence, err=True)
    )
