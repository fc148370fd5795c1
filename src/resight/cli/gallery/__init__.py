"""``resight gallery``: make one, fill it, look after it, and who is in it."""

from __future__ import annotations

import typer

from resight.cli.gallery import calibrating, copy, filling, inspecting, operating, people
from resight.cli.gallery.search import search

gallery = typer.Typer(
    no_args_is_help=True,
    help=(
        "Store embeddings of images, search them, name identities, erase on request.\n\n"
        "Start with `resight gallery create seen`, `resight gallery add seen PICTURES --camera door` and "
        "`resight search seen PICTURE.jpg`. A gallery is a file (seen.db), or a schema of a PostgreSQL database."
    ),
)
filling.add(gallery)
gallery.command("search")(search)
for _part in (inspecting, calibrating, people, copy, operating):
    _part.add(gallery)


def add(app: typer.Typer) -> None:
    """Put the commands into the application."""
    app.add_typer(gallery, name="gallery")
