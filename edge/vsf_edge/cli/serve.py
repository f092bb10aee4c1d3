"""``vsf-edge serve``."""

from __future__ import annotations

import secrets
from contextlib import suppress
from pathlib import Path

import click

from vsf_edge.cli import options
from vsf_edge.errors import EdgeError, EdgeUsageError


@click.command("serve")
@click.argument("model", required=False, type=click.Path(path_type=Path))
@click.option("--folder", "folders", multiple=True, type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
              help="Images in it may be asked for by path; may be repeated.  [default: none]")  # fmt: skip
@click.option("--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="0 is a free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--token", default="", help="What a caller must know; made and printed where other computers can call.")
@click.option("--max-mb", type=click.IntRange(1, 4096), default=256, show_default=True, help="Of one image file.")
@options.runtime
@options.precision
@options.verify
def command(
    model: Path | None,
    folders: tuple[Path, ...],
    port: int,
    host: str,
    token: str,
    max_mb: int,
    runtime: str,
    precision: str,
    verify: Path | None,
) -> None:
    """Stain images for other programs, such as ImageJ, over HTTP.

    MODEL is a .vsf file; without one, the demo's is taken. POST /stain takes a TIFF or PNG, GET /stain.tif?path=... an
    image in one of the folders; both give a TIFF for ImageJ. See docs/imagej.md. Only programs on this computer can
    call it, unless --host says otherwise.
    """
    try:
        import uvicorn

        from vsf_edge.service.app import Service, make_service
        from vsf_edge.web.guard import LEAST_TOKEN, is_loopback
        from vsf_edge.web.server import bind
    except ImportError as error:
        raise EdgeError(f"the service needs a library ({error}): pip install 'vsf-edge[serve]'") from error
    from vsf_edge.live.assembling import demo_model
    from vsf_edge.service.folders import Folders
    from vsf_edge.service.staining import ImageStaining

    if not token and not is_loopback(host):
        token = secrets.token_urlsafe(24)
    if token and len(token) < LEAST_TOKEN:
        raise EdgeUsageError(f"the token has {len(token)} characters: give at least {LEAST_TOKEN}, or none")
    allowed = Folders(folders)
    chosen = model or demo_model()
    with options.opened(chosen, verify) as bundle:
        engine = options.ready(bundle, runtime, precision).engine
        service = Service(
            staining=ImageStaining(bundle, engine.session),
            folders=allowed,
            bundle_sha256=bundle.sha256,
            simulated=bundle.manifest.simulated,
            most_bytes=max_mb << 20,
            host=host,
            token=token,
        )
        listener = bind(host, port)
        address = f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"
        # standard output has what a program that started this one must read
        click.echo(f"Staining with {engine.label} at {address} (Ctrl-C ends it)")
        click.echo(f"Model       {chosen}: {bundle.manifest.intended_use}", err=True)
        if bundle.manifest.simulated:
            click.echo("            trained on SIMULATED images: for trying out only", err=True)
        if not folders:
            click.echo("Folders     none: only images that are sent are stained (--folder names folders)", err=True)
        if token:
            click.echo(f"Token       {token}")
        config = uvicorn.Config(
            make_service(service),
            log_level="warning",
            server_header=False,
            proxy_headers=False,
            lifespan="off",
            limit_concurrency=64,
            timeout_graceful_shutdown=2,
        )
        with suppress(KeyboardInterrupt):  # uvicorn raises it again when all is closed
            uvicorn.Server(config).run(sockets=[listener])
