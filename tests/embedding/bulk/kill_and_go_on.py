"""Kills ``embed_to_file`` at every moment it could matter and lets it go on; prints what came of it as JSON.

A script of its own, since it forks: ``python kill_and_go_on.py FOLDER``.
"""

import json
import os
import signal
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from flat import flat_model
from resight.embedding.bulk.run import embed_to_file
from resight.embedding.embedder import Embedder

for heavy in ("pyarrow.parquet", "torch.fx.experimental.optimization", "pandas"):  # once, not in every child
    if find_spec(heavy.partition(".")[0]):  # pyarrow imports pandas where it is installed
        import_module(heavy)


def run(folder: Path, file: Path, kill_at: int | None) -> bool:
    """Embed in a child, which dies at its ``kill_at``-th event; whether it lived."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1] == 0
    events = 0

    def event(*_: object) -> None:
        nonlocal events
        events += 1
        if events == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    replace, unlink = os.replace, Path.unlink

    def replace_between_events(*arguments: str) -> None:
        event()
        replace(*arguments)
        event()

    def unlink_after_an_event(path: Path, missing_ok: bool = False) -> None:
        event()
        unlink(path, missing_ok)

    os.replace, Path.unlink = replace_between_events, unlink_after_an_event  # type: ignore[assignment, method-assign]
    os.fsync = lambda _: None  # against a loss of power, which is not tried here
    embedder = Embedder(flat_model(), "torch", batch_size=4, device="cpu")
    embed_to_file(embedder, folder, file, skip=True, part=4, progress=event)
    os._exit(0)


def main() -> None:
    folder = Path(sys.argv[1])
    whole = folder.parent / "whole.parquet"
    assert run(folder, whole, None)
    same, left, kill_at, finished = 0, 0, 0, False
    while not finished:
        kill_at += 1
        file = folder.parent / f"{kill_at}.parquet"
        finished = run(folder, file, kill_at)
        left += Path(f"{file}.parts").exists()
        assert run(folder, file, None)
        assert not Path(f"{file}.parts").exists()
        manifests = [json.loads(Path(f"{one}.manifest.json").read_text()) for one in (file, whole)]
        for manifest in manifests:
            del manifest["file"], manifest["manifest"]
        same += file.read_bytes() == whole.read_bytes() and manifests[0] == manifests[1]
    strays = [path.name for path in folder.parent.iterdir() if path.name.startswith(".")]
    print(json.dumps({"kills": kill_at - 1, "same": same - 1, "left": left, "strays": strays}))


main()
