"""What a document says about settings: in blocks, tables, prose and assignments to variables."""

from __future__ import annotations

from ..document import Document
from ..truths import Truths
from .assignments import assignments
from .blocks import block_claims
from .claim import Claim, Where
from .prose import prose_claims
from .tables import table_claims

__all__ = ["Claim", "Where", "claims_of"]


def claims_of(document: Document, truths: Truths) -> list[Claim]:
    """Every claim, in the order of the file."""
    found = [
        *block_claims(document, truths),
        *table_claims(document, truths),
        *prose_claims(document, truths),
        *assignments(document, truths),
    ]
    return sorted(found, key=lambda claim: claim.start)
