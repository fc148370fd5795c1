"""The command line as a function."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from resight.cli.main import main

Result = tuple[int, str, str]
Shell = Callable[..., Result]


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Shell:
    """Run ``resight ARGUMENTS`` in an empty folder: (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RESIGHT_CACHE", str(tmp_path / "cache"))

    def run(*arguments: object) -> Result:
        monkeypatch.setattr("sys.argv", ["resight", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
        out, err = capfd.readouterr()
        return code, out, err

    return run


def told(result: Result) -> Any:
    """What a command with ``--json`` that went well wrote."""
    code, out, err = result
    assert code == 0, err
    return json.loads(out)
