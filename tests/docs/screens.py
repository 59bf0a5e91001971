"""The document behind the README's screenshot: a host with one GPU in each state that people ask about."""

from __future__ import annotations

import json
from typing import cast

from gpulock.documents import StatusDocument
from tests.ctl import documents


def host() -> StatusDocument:
    """The busy host of the renderer's own tests, its container named as the daemon names containers."""
    written = json.dumps(documents.busy())
    short = documents.BERT["container"].rpartition(":")[2]
    return cast(StatusDocument, json.loads(written.replace(documents.BERT["container"], f"docker:{short}")))
