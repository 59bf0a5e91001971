"""Passwords do not belong on a screen or in a log."""

from __future__ import annotations

import re

MASK = "***"

_PARAMETER = re.compile(r"([?&;][^=&;]*password[^=&;]*=)[^&;]*", re.IGNORECASE)


def masked_url(url: str) -> str:
    """`url` with every password in it replaced by `***`, even where a stray `@` or `/` makes it no URL at all."""
    before, at, after = _PARAMETER.sub(rf"\g<1>{MASK}", url).rpartition("@")
    if not at:
        return after
    scheme, separator, credentials = before.partition("://")
    if not separator:
        return f"{MASK}@{after}"
    user, colon, _ = credentials.partition(":")
    return f"{scheme}://{user}{colon}{MASK if colon else ''}@{after}"
