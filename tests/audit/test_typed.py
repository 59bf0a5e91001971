"""Commands, options, exit codes: what a reader is told to type is understood."""

from __future__ import annotations

import pytest

from .marked import Workshop, marks

TYPED = {
    "command-unknown": """\
```console
$ gpulockctl status --watch
$ gpulockctl «satus» --watch
$ sudo GPULOCK_SOCKET=/tmp/s /opt/bin/gpulockctl «lisst» | less
gpulockctl in the output
# gpulockctl «unknwon»
$ make lint && make «lnit» JOBS=2
```

```bash
# gpulockctl nothing, in a comment
gpulockctl \\
  «remove» 3
```

`gpulockctl why 2`, `gpulockctl «wyh» 2`, `make lint`, `gpulockctl COMMAND --json`, `gpulockctl ...`
""",
    "option-unknown": """\
```sh
gpulock -g 2 -w 30m --task x -- python train.py --epochs 3
gpulock «--wiat» 30m -- true
gpulock -ng2 -- true && gpulockctl history --user=anna -n 5
gpulockctl --json status «--feet»
gpulockctl status «-x»
gpulockd --config x.yml «--port» 3
```

Synopsis: `gpulock [-n] [-w TIME] [--gpu SEL] -- CMD`, `gpulockd [--check]`; 执行
`gpulockctl status «--全部»` 或 `gpulockctl drain 3 --reason "new --fan"`，`gpulockctl drain 3 «--reson» x`
""",
    "exit-code-unknown": """\
| exit status | when |
|---|---|
| the command's own | 128 + n |
| 69 | no daemon |
| «71» | never |
| 126, «128» | |

It exits with 75 if busy, exits with «74» never; 退出码为 76，退出码 «99»。
130 is SIGINT: exit code 130. It ends with 5 words. `grep -q` exits with 3, and `gpulock -- grep` exits with «3».
""",
}


@pytest.mark.parametrize(("rule", "text"), TYPED.items(), ids=TYPED)
def test_what_is_not_understood(workshop: Workshop, rule: str, text: str) -> None:
    workshop.write("Makefile", "VAR := 1\nlint: install ## x\n\ttrue\ninstall:\n\ttrue\n")
    assert workshop.found(text, rule) == marks(text)[1]
