"""``vsf export``. Light: ``vsf --help`` imports it."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("export")
@click.argument("run", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "-o", "--out", type=click.Path(path_type=Path, dir_okay=False), help="File to write.  [default: RUN/model.vsf]"
)
@click.option("--target", default="onnx", show_default=True, help="Export target, or plugin:name.")
@click.option("--sign", type=click.Path(path_type=Path, dir_okay=False), metavar="KEY",
              help="Sign the bundle with this Ed25519 private key (PEM).")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")
def command(run: Path, out: Path | None, target: str, sign: Path | None, as_json: bool) -> None:
    """Compile the trained generators of RUN for the machine beside the microscope.

    Writes one file with the graph (brightfield counts in, stains and quantities out), reference patches and hashes.
    Fails when the graph drifts from torch by more than 0.002 in any quantity.
    """
    import json

    from vsframework.plugins import registry
    from vsframework.progress import working

    compiler = registry().create("export-target", target)  # first: a wrong name should not wait for torch

    from vsf_export.signing import check_signing_key, sign_bundles
    from vsf_export.trained_run import load_run

    if sign:
        check_signing_key(sign)

    with working("Exporting, and checking the graph against torch"):
        trained = load_run(run)
        record = compiler.export(trained.generators, trained.spec, out or run / "model.vsf")
        if sign:
            sign_bundles(record.files, sign)
    files = [str(path) for path in record.files]
    if as_json:
        click.echo(json.dumps({"target": target, "files": files, "parity": dict(record.parity)}, indent=2))
        return
    for path in files:
        click.echo(f"Wrote {path}")
    for name, value in record.parity.items():
        click.echo(f"  {name}: {value:g}")
