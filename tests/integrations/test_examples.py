"""The examples of docs/tools.md that need other packages, where these are installed."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "tools.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```py\n# needs: ([^\n]+)\n(.*?)```", PAGE, re.DOTALL)


def there(name: str) -> bool:
    """Whether it is a package, and not a folder of tests."""
    found = find_spec(name)
    return found is not None and found.origin is not None


@pytest.mark.parametrize(("needs", "example"), EXAMPLES, ids=[needs for needs, _ in EXAMPLES])
def test_example(needs: str, example: str) -> None:
    """In a process of its own, where no folder of tests has the name of a package."""
    missing = [name for name in needs.split() if not there(name)]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed: run by tools.integrations")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # PostgreSQL runs as another user where this one is root
        done = subprocess.run([sys.executable, "-c", example], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_every_example_that_needs_more_says_so() -> None:
    assert len(EXAMPLES) == PAGE.count("```py\n") >= 6
