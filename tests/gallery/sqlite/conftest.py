"""Programs of their own that have a gallery open."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PROGRAMS = """
import gc, json, os, signal, sqlite3, sys, threading, time
from resight import Gallery
from seen import card, embeddings

for line in sys.stdin:
    child = os.fork()
    if not child:
        path, script = json.loads(line)
        gallery = Gallery.open(path, card())
        gallery.add(embeddings(5))
        exec(script)
        sys.exit()
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""

Run = Callable[[Path, str], int]


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    """Run a script in a program of its own, which has opened a gallery of five records; its exit code."""
    tests = str(Path(__file__).parents[2])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([tests, *sys.path])}
    command, pipe = [sys.executable, "-c", PROGRAMS], subprocess.PIPE
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        told, answers = process.stdin, process.stdout

        def run_one(path: Path, script: str) -> int:
            print(json.dumps([str(path), script]), file=told, flush=True)
            return int(answers.readline())

        yield run_one
        told.close()
