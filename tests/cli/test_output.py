"""Standard output that is full, or that no program reads any more."""

import io
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from rich.console import Console
from rich.table import Table

from resight.cli.console import bar, err, out, run_app
from resight.cli.main import main
from resight.training.progress.live import Live


def run(arguments: str, redirect: str, folder: Path) -> tuple[int, str]:
    """The exit code of ``resight ARGUMENTS`` itself, and what it wrote to standard error."""
    command = f"{sys.executable} -m resight {arguments} {redirect}"
    done = subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("arguments", ["engines", "--version"])  # by Rich, and plain text
def test_a_full_disk_is_one_sentence(arguments: str, tmp_path: Path) -> None:
    code, said = run(arguments, "> /dev/full", tmp_path)
    assert code == 2
    assert said.startswith("Error: The output cannot be written (No space left on device)") and said.count("\n") == 1


def test_a_reader_that_ends_early_ends_it_silently(tmp_path: Path) -> None:
    code, said = run("--version", "| true; exit ${PIPESTATUS[0]}", tmp_path)
    assert (code, said) == (1, "")


@pytest.mark.parametrize("command", ["embed person {} -o a.npz", "report {}", "models show {}", "data check {}"])
def test_a_path_that_cannot_be_looked_at_is_one_sentence(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Here one that is too long; one in a folder that may not be entered fails as well, but not for root."""
    path = "/tmp/" + 400 * "y"
    monkeypatch.setattr("sys.argv", ["resight", *command.format(path).split()])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    said = " ".join(capsys.readouterr().err.split())
    assert said.startswith(f"Error: {path}") and said.endswith("(File name too long): check the path and the rights.")


def test_ctrl_c_is_one_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    app = typer.Typer()

    @app.command()
    def work() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sys.argv", ["work"])
    with pytest.raises(SystemExit) as end:
        run_app(app)
    assert end.value.code == 130
    assert capsys.readouterr().err.strip() == "stopped; what was finished is kept."


def test_ctrl_c_before_the_command_begins_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("resight.cli.main._command_line", interrupted)
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 130
    assert capsys.readouterr().err.strip() == "stopped; what was finished is kept."


ODD = "set[red] cam:door:1 [bold]x[/b] [/y] :100:"


def test_names_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    """Brackets are no markup, which vanishes or fails, and colons enclose no emoji: also in titles and cells."""
    table = Table("column", title=ODD)
    table.add_row(ODD)
    for console in (out, err):
        console.print(ODD)
        console.print(table)
    with Live(1, 0, show=True) as live:
        live.note(ODD)
    shown = capsys.readouterr()
    assert shown.out.count(ODD) == 3 and shown.err.count(ODD) == 4


@pytest.mark.parametrize("progress", ["bar", "training"])
def test_progress_shows_names_as_they_are(progress: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    terminal = Console(file=file, force_terminal=True, width=200, color_system=None)
    if progress == "bar":
        monkeypatch.setattr("resight.cli.console.err", terminal)
        with bar(f"embedding {ODD}") as update:
            update(1, 2)
    else:
        monkeypatch.setattr("resight.training.progress.live.Console", lambda **_: terminal)
        with Live(1, 0, show=True) as live:
            live.preparing(ODD, 1, 2)
    assert "[/y]" in file.getvalue() and "set[red]" in file.getvalue()
