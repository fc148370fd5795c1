"""The findings of a check of a data set as a contact sheet: what is wrong, what to do, and pictures of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path, PurePath

import resight
from resight.files import write_text
from resight.images.decode import decode
from resight.images.finding import Finding
from resight.report.html import environment
from resight.report.pictures import Pictures


def write_findings(path: str | os.PathLike[str], title: str, findings: Sequence[Finding]) -> Path:
    """Write findings with pictures of their examples as one self-contained HTML file.

    Raises:
        ResightError: the file cannot be written. A picture that cannot be read leaves a gap, and the file says so.
    """
    pictures = Pictures(decode)
    shown = [
        {
            "finding": finding,
            "groups": [[(PurePath(image).name, pictures.of(image)) for image in group] for group in finding.examples],
        }
        for finding in findings
    ]
    page = environment().get_template("findings.html.j2")
    write_text(path, page.render(title=title, findings=shown, pictures=pictures, version=resight.__version__))
    return Path(path)
