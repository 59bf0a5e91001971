"""Claims in fenced YAML: every leaf that is a setting, in blocks that are of this configuration."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .. import yamltext
from ..document import Block, Document
from ..roles import Role, of_place, of_words
from ..truths import Truths, is_distinctive
from .claim import Claim

_FIRST_COMMENTS = re.compile(r"(?:[ \t]*#[^\n]*\n|[ \t]*\n)+")


def block_claims(document: Document, truths: Truths) -> Iterator[Claim]:
    blocks = [*([document.front_matter] if document.front_matter else []), *document.blocks]
    for block in blocks:
        tree = block.yaml
        if isinstance(tree, yamltext.Tree) and is_ours(tree, truths):
            role = role_of(block)
            for leaf in tree.leaves:
                if keys := keys_of(leaf.path, truths):
                    start, end = block.offset(leaf.start), block.offset(leaf.start + len(leaf.written))
                    yield Claim(
                        keys,
                        ".".join(leaf.path),
                        leaf.written,
                        block.source,
                        start,
                        end,
                        "block",
                        _role_of_line(block.content, leaf.end) or role,
                    )


def role_of(block: Block) -> Role:
    """Said behind its fence, in the comments that it begins with, before it, or by its headings."""
    opening = _FIRST_COMMENTS.match(block.content)
    words = [block.info.partition(" ")[2], opening.group() if opening else ""]
    return next((role for text in words if (role := of_words(text))), None) or of_place(block.lead, block.section)


def is_ours(tree: yamltext.Tree, truths: Truths) -> bool:
    """Whether it is of this configuration: it has a section of its own kind, or mostly keys of it."""
    if not tree.leaves:
        return False
    if any(is_distinctive(path[0]) and path[0] in truths.sections for path in tree.keys):
        return True
    known = sum(bool(keys_of(leaf.path, truths)) for leaf in tree.leaves)
    return known * 2 > len(tree.leaves)


def keys_of(path: yamltext.Path, truths: Truths) -> tuple[str, ...]:
    """The settings that a leaf can be: its whole path, the end of a setting's, or one below other keys."""
    found = truths.resolve(".".join(path))
    if not found and len(path) > 2:
        found = tuple(key for start in (1, 2) if (key := ".".join(path[start:])) in truths.keys and "." in key)
    if len(path) == 1 and not is_distinctive(path[0]) and path[0] not in truths.keys:
        return ()  # `timeout: 3` alone may be anybody's
    return found


def _role_of_line(content: str, end: int) -> Role | None:
    """The role that the comment behind a value gives to it."""
    comment = re.compile(r"[^\n#]*#([^\n]*)").match(content, end)
    role = of_words(comment.group(1)) if comment else None
    return role if role != "claim" else None
