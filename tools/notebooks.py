"""Run every notebook of the documentation from beginning to end: ``python -m tools.notebooks [NAME ...]``.

Each runs in an empty folder; nothing is written into the notebooks. Needs nbclient and ipykernel.
"""

import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

FOLDER = Path(__file__).parents[1] / "docs" / "notebooks"


def main(names: list[str]) -> int:
    """Exit code 1 if a cell of any notebook failed."""
    failed = []
    for path in sorted(FOLDER.glob("*.ipynb")):
        if names and path.stem not in names:
            continue
        with tempfile.TemporaryDirectory() as folder:
            book = nbformat.read(path, as_version=4)
            try:
                NotebookClient(book, timeout=600, resources={"metadata": {"path": folder}}).execute()
            except CellExecutionError as error:
                failed.append(path.name)
                print(error)
        print(f"{path.name}: {'failed' if path.name in failed else 'ran'}", flush=True)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
