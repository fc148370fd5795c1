"""``resight serve``."""

from __future__ import annotations

import sys
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from resight.cli.console import err, out
from resight.cli.options import Engine
from resight.errors import RecipeError


def add(app: typer.Typer) -> None:
    """Put the command into the application."""
    app.command("serve")(serve)


def serve(
    gallery: Annotated[str | None, typer.Argument(metavar="GALLERY", help="The gallery to serve.")] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", metavar="MODEL", help="The gallery's model, if it has moved.")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; other than this machine it needs --keys.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 chooses a free one.")] = 8000,
    keys: Annotated[
        Path | None,
        typer.Option(metavar="FILE", envvar="RESIGHT_KEYS", help="API keys; without the file, no key is required."),
    ] = None,
    new_key: Annotated[
        str | None, typer.Option("--new-key", metavar="NAME", help="Add a key to --keys, print it once, and exit.")
    ] = None,
    scopes: Annotated[str, typer.Option(help="Scopes of the new key: read, write, erase (comma-separated).")] = "read",
    upload: Annotated[float, typer.Option(metavar="MB", min=0.001, help="Largest request, in megabytes.")] = 20,
    pixels: Annotated[float, typer.Option(metavar="MP", min=0.001, help="Largest image, in megapixels.")] = 40,
    rate: Annotated[
        float,
        typer.Option(metavar="N", min=0, help="Requests per second and key (without keys: address); 0: no limit."),
    ] = 50,
    queue: Annotated[int, typer.Option(metavar="N", min=1, help="Largest number of concurrent requests.")] = 64,
    expire_every: Annotated[
        float, typer.Option(min=0, metavar="HOURS", help="Hours between erasures of expired records; 0: never.")
    ] = 1,
    memory: Annotated[
        float,
        typer.Option(
            metavar="GIB",
            min=0,
            help="Most memory for the vectors of a gallery in PostgreSQL; 0: search in the database.",
        ),
    ] = 1,
    proxy: Annotated[
        list[str] | None,
        typer.Option(metavar="ADDRESS", help="TLS proxy in front; its X-Forwarded headers are trusted; repeatable."),
    ] = None,
    engine: Engine = "auto",
    browse: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
) -> None:
    """Serve a gallery over HTTP, with a search page at http://127.0.0.1:8000.

    /openapi.json describes the API. On shutdown, accepted requests are finished first.
    """
    from resight.server.keys import NO_KEYS, read_keys
    from resight.server.keys import new_key as make_key
    from resight.server.settings import Settings

    if new_key is not None:
        if keys is None:
            raise RecipeError("--new-key needs a file to keep it in: add --keys keys.json.")
        typer.echo(make_key(keys, new_key, [scope.strip() for scope in scopes.split(",")]))
        err.print(f"added to {keys}; this key cannot be shown again.")
        return
    if gallery is None:
        raise RecipeError("There is no gallery to serve: name it, as in resight serve seen.")
    settings = Settings(
        host=host,
        port=port,
        keys=read_keys(keys) if keys else NO_KEYS,
        upload_bytes=int(upload * 1_000_000),
        pixels=int(pixels * 1_000_000),
        rate=rate,
        queue=queue,
        expire_every=expire_every * 3600,
        memory=int(memory * 2**30),
        proxies=tuple(proxy or ()),
    )
    if model is None and engine != "auto":
        raise RecipeError("--engine is about the model that is given: add --model MODEL.")
    try:
        from resight.server.run import serve as run
    except ModuleNotFoundError as error:
        raise RecipeError(
            f"{error.name} is not installed, which serving needs: pip install 'resight[serve]'."
        ) from None
    from resight.embedding.embedder import Embedder
    from resight.gallery.gallery import Gallery
    from resight.models.loading import load

    def ready(url: str) -> None:
        out.print(f"listening on {url}")
        if browse:
            webbrowser.open(url)

    embedder = None if model is None else Embedder(load(model), engine)
    with Gallery.open(gallery, embedder) as opened:
        run(opened, settings, log=sys.stderr, ready=ready)
