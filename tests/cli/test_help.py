"""The help of every command: it fits 80 columns and cuts no name."""

from collections.abc import Iterator

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from resight.cli.main import app, main

COMMANDS = get_command(app)


def commands(command: object, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    """Every command with its words, groups included."""
    yield words, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, (*words, name))


EVERY = dict(commands(COMMANDS))


@pytest.mark.parametrize("words", EVERY, ids=lambda words: " ".join(words) or "resight")
def test_help_fits_80_columns_and_cuts_no_name(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = EVERY[words]
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr("sys.argv", ["resight", *words, "--help"])
    with pytest.raises(SystemExit) as end:
        main()
    output = capsys.readouterr().out
    assert end.value.code == 0 and "Usage" in output
    assert max(map(len, output.splitlines())) <= 80
    assert "…" not in output
    shown = output.split()
    for parameter in command.params:  # type: ignore[attr-defined]
        names = [*parameter.opts, *parameter.secondary_opts] if parameter.param_type_name == "option" else []
        assert all(name in shown for name in names), (words, names)
        if parameter.name != "help":
            assert getattr(parameter, "help", None), f"{' '.join(words)} does not explain {parameter.name}"
    for name in getattr(command, "commands", {}):
        assert name in shown, (words, name)


def test_the_list_of_models_cuts_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    import resight
    from resight.models import shipped, summary

    def large(name: str) -> summary.Summary:
        return summary.Summary(name, "A long description. " * 9, 256, 128, 16_384, 123_456_789, 98_765_432_100, ())

    monkeypatch.setattr(summary, "summarise", large)
    monkeypatch.setattr(summary, "summarise_trained", large)
    monkeypatch.setenv("COLUMNS", "80")
    lines = CliRunner().invoke(app, ["models", "list"]).stdout.splitlines()
    assert {line.split()[0] for line in lines[1:]} == {*resight.models.list(), *shipped.names()}
    assert max(map(len, lines)) <= 80
