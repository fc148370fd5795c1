"""Four threads search one gallery while a fifth changes it, for an hour: every answer is that of a single thread.

    python benchmarks/many_threads.py --seconds 3600

What must hold is in tests/gallery/many_threads.py, which does the work. It prints a table, or fails.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from deadline import Hung, add_deadline, run

SCRIPT = Path(__file__).parents[1] / "tests" / "gallery" / "many_threads.py"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=3600)
    options.add_argument("--seed", type=int, default=0)
    add_deadline(options, 600)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, SCRIPT, folder, str(given.seconds), str(given.seed)]
        try:
            done = run(command, given.seconds + given.deadline, stdout=subprocess.PIPE, text=True)
        except Hung as hung:
            raise SystemExit(f"The threads: {hung}") from None
    if done.returncode:
        raise SystemExit("An answer differed: see above.")
    found = json.loads(done.stdout)
    print(
        "| " + " | ".join(found) + " |\n|" + "---:|" * len(found) + "\n| " + " | ".join(map(str, found.values())) + " |"
    )


if __name__ == "__main__":
    main()
