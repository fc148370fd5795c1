"""The README as the package index shows it, where links to files of the repository would lead nowhere.

A hook of hatchling's (pyproject.toml names it). Links to pages of ``docs`` lead to the documentation where
``[project.urls]`` has its address, as ``Documentation``; all other links to files become plain text.
"""

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_LINK = re.compile(r"(?<!!)\[([^\[\]]+)\]\((?!https?://|mailto:|#)([^()\s]+)\)")
_PAGE = re.compile(r"docs/(?P<name>\w+)\.md(?P<part>#[\w-]+)?")


def shown(text: str, documentation: str = "") -> str:
    """Markdown without links to files, given the address of the documentation or ""."""

    def changed(link: re.Match[str]) -> str:
        words, target = link.groups()
        page = _PAGE.fullmatch(target)
        if page is None or not documentation:
            return words
        folder = "" if page["name"] == "index" else f"{page['name']}/"
        return f"[{words}]({documentation.rstrip('/')}/{folder}{page['part'] or ''})"

    return _LINK.sub(changed, text)


class Readme(MetadataHookInterface):
    """Gives the package its description."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Put the README into the metadata."""
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        address = metadata.get("urls", {}).get("Documentation", "")
        metadata["readme"] = {"content-type": "text/markdown", "text": shown(text, address)}
