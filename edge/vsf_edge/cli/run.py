"""``vsf-edge run``."""

from __future__ import annotations

import json
import math
from pathlib import Path

import click


@click.command("run")
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o", "--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder to write to."
)
@click.option("--dtype", type=click.Choice(["float32", "uint16"]), default="float32", show_default=True,
              help="Of the stains: counts as they are, or rounded to whole counts.")  # fmt: skip
@click.option("--runtime", default="onnxruntime", show_default=True, help="What runs the graph.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(
    context: click.Context, model: Path, images: tuple[Path, ...], out: Path, dtype: str, runtime: str, as_json: bool
) -> None:
    """Stain image files and measure them.

    MODEL is a .vsf file, IMAGES are square brightfield crops of one cell each (PNG or TIFF). Writes one TIFF per
    image and stain, in counts, and cells.csv with the quantities. A bad image does not stop the others; the exit code
    is 1 if there was one.
    """
    from vsf_edge.bundle import open_bundle
    from vsf_edge.plugins import plugins
    from vsf_edge.staining import TABLE, stain_images

    with open_bundle(model) as bundle:
        session = plugins().find("runtime", runtime).create().open(bundle)
        units = {quantity.name: quantity.unit for quantity in bundle.manifest.quantities}
        results = []
        for stained in stain_images(bundle, session, images, out, dtype):
            results.append(stained)
            if stained.problem:
                click.echo(f"Error: {stained.problem}", err=True)
            elif not as_json:
                values = ", ".join(
                    f"{name} {value:.4g}{'' if units[name] == '1' else ' ' + units[name]}"
                    for name, value in stained.quantities.items()
                )
                click.echo(f"{stained.image}: {values or 'stained'}")
    failed = sum(bool(result.problem) for result in results)
    if as_json:
        document = {
            "table": str(out / TABLE),
            "failed": failed,
            "images": [
                {
                    "image": str(result.image),
                    "files": [str(file) for file in result.files],
                    "quantities": {k: None if math.isnan(v) else v for k, v in result.quantities.items()},
                    "problem": result.problem or None,
                }
                for result in results
            ],
        }
        click.echo(json.dumps(document, indent=2))
    else:
        click.echo(f"{len(results) - failed} of {len(results)} stained, values in {out / TABLE}", err=True)
    context.exit(1 if failed else 0)
