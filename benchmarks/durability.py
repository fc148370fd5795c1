"""A program that adds, names and erases is killed 200 times, and each time the gallery it left is looked through.

    python benchmarks/durability.py --kills 200

What must hold each time stands in tests/gallery/sqlite/kill_and_reopen.py, which does the work. It prints a table.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from deadline import Hung, add_deadline, run

SCRIPT = Path(__file__).parents[1] / "tests" / "gallery" / "sqlite" / "kill_and_reopen.py"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--kills", type=int, default=200)
    options.add_argument("--seed", type=int, default=0)
    add_deadline(options, 7200)
    given = options.parse_args()
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, SCRIPT, folder, str(given.kills), str(given.seed)]
        settings = {"OMP_NUM_THREADS": "1", **os.environ}
        try:
            done = run(command, given.deadline, stdout=subprocess.PIPE, text=True, env=settings)
        except Hung as hung:
            raise SystemExit(f"The program and its kills: {hung}") from None
    if done.returncode:
        raise SystemExit("A promise was broken; what and when stands above.")
    found = json.loads(done.stdout) | {"seconds": round(time.perf_counter() - start)}
    print(
        "| " + " | ".join(found) + " |\n|" + "---:|" * len(found) + "\n| " + " | ".join(map(str, found.values())) + " |"
    )


if __name__ == "__main__":
    main()
