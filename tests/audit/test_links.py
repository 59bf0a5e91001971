"""Links, anchors and paths: what leads nowhere is found, what leads somewhere is not."""

from __future__ import annotations

import pytest

from .marked import Workshop, marks


@pytest.fixture
def tree(workshop: Workshop) -> Workshop:
    headings = ("Operations", "故障排查：Redis", "What's new?", "Twice", "Twice")
    workshop.write("docs/operations.md", "".join(f"## {heading}\n\n" for heading in headings))
    workshop.write("docs/sub/deep.md", '# Deep\n\n<a id="here"></a>\n\nText.\n')
    workshop.write("src/lock.py", "")
    workshop.write("a b.md", "")
    return workshop


LINKS = {
    "link-broken": """\
[operations](docs/operations.md), [gone](«docs/gone.md»), ![picture](«pictures/x.png»), [deep](«docs/deep.md#here»)

- 见 [运维](«doc/operations.md»)；[spaces](a%20b.md) [web](https://example.org/none.md) [mail](mailto:a@example.org)
- [a folder](docs/) and [from the root](/docs/operations.md), and [by reference][r]

| a | b |
|---|---|
| [x](«none.md») | `[no link](none.md)` |

[r]: docs/operations.md
""",
    "anchor-broken": """\
# Guide

[to a heading](#guide) [to none](«#giude») [there](docs/operations.md#故障排查redis)
[not there](«docs/operations.md#故障排查»), [new](docs/operations.md#whats-new), [second](docs/operations.md#twice-1)
[third](«docs/operations.md#twice-2») [html](docs/sub/deep.md#here)
""",
    "path-missing": """\
`src/lock.py`, `«src/look.py»`, `docs/sub/deep.md`, `src/*.py`, `«src/*.c»`, `./docs/operations.md`
`dist/wheel.whl` and `other/thing.py` are of no folder here; `src/your-module/x.py`, `GET/POST`, `docs/`.
""",
}


@pytest.mark.parametrize(("rule", "text"), LINKS.items(), ids=LINKS)
def test_what_leads_nowhere(tree: Workshop, rule: str, text: str) -> None:
    assert tree.found(text, rule) == marks(text)[1]


def test_the_one_file_of_that_name_is_offered(tree: Workshop) -> None:
    tree.write("docs/guide.md", "[deep](deep.md#here) [twice](operations.md)\n")
    (finding,) = tree.audit("docs/guide.md").findings
    assert finding.hint == "did you mean sub/deep.md?"
    assert finding.edit is not None
    assert finding.edit.text == "sub/deep.md"
