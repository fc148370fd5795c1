"""Passwords, tokens and keys taken out of addresses and commands before these are kept or printed."""

from __future__ import annotations

import re

# What is between "://" and "@". A password may hold any sign: one with "/" differs from a port by its letters,
# or by a user's name without a dot.
_LOGIN = re.compile(
    r"""(?<=://) (?: [^\s/?#'"]*@ | [^\s/?#'"@:.]*:[^\s'"]*@ | [^\s/?#'"@:]*:(?!\d+[/?#])[^\s'"]*@ )""", re.VERBOSE
)
# The same with spaces: the name has no dot, and neither a space nor a port follows the colon, as in a sentence.
_SPACED = r"(?:(?!\s-)[^/?#'\"@:.\n])*:(?!\d+(?:[/?#\s]|$)|\s)(?:(?!://|\s-){})*@"
_SPACED_LOGIN = re.compile("(?<=://)" + _SPACED.format(r"[^'\"\n]"))
_ADDRESS = re.compile("([a-z][a-z0-9+.-]*://)" + _SPACED.format("."), re.IGNORECASE)  # at the begin: quotes are in it
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
    plain = _SPACED_LOGIN.sub("", _LOGIN.sub("", _ADDRESS.sub(r"\1", text) if _ADDRESS.match(text) else text))
    return _PARAMETER.sub(r"\1***", _OPTION.sub(r"\1***", plain))
