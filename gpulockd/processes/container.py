"""Which container a process runs in, by the path of its control group."""

from __future__ import annotations

import re

SHORT_ID = 12
"""As `docker ps` and `crictl ps` show them."""

_RUNTIMES = {
    "docker": "docker",
    "libpod": "podman",
    "cri-containerd": "containerd",
    "nerdctl": "containerd",
    "crio": "cri-o",
}
# `.../docker/ID`, `.../docker-ID.scope`, `.../cri-containerd-ID.scope`, `.../kubepods/burstable/podUID/ID`. The
# monitors beside containers (`libpod-conmon-ID`, `crio-conmon-ID`) are none.
_CONTAINER = re.compile(
    r"(?:^|[/:])(?:(?P<runtime>docker|libpod|cri-containerd|nerdctl|crio)[-/])?(?P<id>[0-9a-f]{64})(?:\.scope)?(?=/|$)",
    re.MULTILINE,
)


def container(cgroup: str) -> str:
    """`docker:3f4c0e6d1b2a`, or an empty string outside of containers.

    Of nested containers it is the outermost: the host's own tools know that one. `cgroup` is the text of
    /proc/PID/cgroup.
    """
    found = _CONTAINER.search(cgroup)
    if not found:
        return ""
    runtime = _RUNTIMES.get(found["runtime"] or "")
    if runtime is None:
        runtime = "kubernetes" if "kubepods" in cgroup else "container"
    return f"{runtime}:{found['id'][:SHORT_ID]}"
