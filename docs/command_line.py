"""A hook of mkdocs: fills ``command_line.md`` with every command and option of the program itself."""

from __future__ import annotations

from typing import Any

from typer.main import get_command

from resight.cli.main import app

MARK = "<!-- commands -->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the mark by one section per command."""
    if MARK not in markdown:
        return markdown
    return markdown.replace(MARK, "\n".join(section(get_command(app), "resight")))


def section(command: Any, name: str) -> list[str]:
    """Heading, help and options of a command, then those of its subcommands."""
    context = command.context_class(command, info_name=name)
    lines = [f"{'#' * (1 + len(name.split()))} {name}", "", command.help or "", ""]
    if hasattr(command, "list_commands"):
        for key in command.list_commands(context):
            child = command.get_command(context, key)
            if child is not None and not child.hidden:
                lines += section(child, f"{name} {key}")
        return lines
    usage = " ".join(command.collect_usage_pieces(context))
    lines += ["```text", f"{name} {usage}", "```", "", "| | | default |", "|---|---|---|"]
    for parameter in command.params:
        if not getattr(parameter, "hidden", False):
            lines.append(f"| {_names(parameter)} | {_cell(parameter.help or '')} | {_default(parameter)} |")
    return [*lines, ""]


def _names(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{parameter.name.upper()}`"
    return " ".join(f"`{option}`" for option in (*parameter.opts, *parameter.secondary_opts))


def _default(parameter: Any) -> str:
    value = parameter.default
    return "" if value in (None, "", (), [], False) or callable(value) else f"`{getattr(value, 'value', value)}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("[", "\\[").replace("<", "&lt;")
