"""Standard output that is full, or that no program reads any more."""

import subprocess
import sys
from pathlib import Path

import pytest


def run(arguments: str, redirect: str, folder: Path) -> tuple[int, str]:
    """The exit code of ``resight ARGUMENTS`` itself, and what it wrote to standard error."""
    command = f"{sys.executable} -m resight {arguments} {redirect}"
    done = subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("arguments", ["engines", "--version"])  # by Rich, and plain text
def test_a_full_disk_is_one_sentence(arguments: str, tmp_path: Path) -> None:
    code, err = run(arguments, "> /dev/full", tmp_path)
    assert code == 2
    assert err.startswith("Error: The output cannot be written (No space left on device)") and err.count("\n") == 1


def test_a_reader_that_ends_early_ends_it_silently(tmp_path: Path) -> None:
    code, err = run("--version", "| true; exit ${PIPESTATUS[0]}", tmp_path)
    assert (code, err) == (1, "")
