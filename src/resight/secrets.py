"""Passwords, tokens and keys taken out of addresses and commands before these are kept or printed."""

from __future__ import annotations

import re

# What is between "://" and "@". A password may hold any sign: one with "/" differs from a port by its letters,
# or by a user's name without a dot.
_LOGIN = re.compile(
    r"""(?<=://) (?: [^\s/?#'"]*@ | [^\s/?#'"@:.]*:[^\s'"]*@ | [^\s/?#'"@:]*:(?!\d+[/?#])[^\s'"]*@ )""", re.VERBOSE
)
_WORD = (
    r"(?:[a-z]+[_-])*(?:[a-z]*passw(?:ord|ort|d)?|passphrase|pwd|psw|pw|(?:login)?pass?|secret|token|jwt"
    r"|(?:api|access|private)[_-]?key|auth(?:basic|orization)?|sig|signature|credentials?)"
)
_PARAMETER = re.compile(
    rf"""((?:(?<![a-z]){_WORD}|(?<=[?&])(?:key|code))(?:=|%3d))[^\s&;'"]*?(?=[_,][a-z]+=|[\s&;'"\#]|$)""", re.IGNORECASE
)
_OPTION = re.compile(rf"""(--{_WORD}[=\s]\s*)('[^']*'|"[^"]*"|\S+)""", re.IGNORECASE)


def without_secrets(text: str) -> str:
    """``text`` with the secrets left out of every address, parameter and option in it.

    ``rtsp://admin:pw@door/1`` becomes ``rtsp://door/1``; the value of a parameter or option that is named like a
    password, token or key becomes ``***``. Text without secrets comes back as it is.
    """
    return _PARAMETER.sub(r"\1***", _OPTION.sub(r"\1***", _LOGIN.sub("", text)))
