"""Routes, ports, metrics and alerts that documents name."""

from __future__ import annotations

import pytest

from .marked import Workshop, marks

SERVED = {
    "route-unknown": """\
```console
$ curl http://localhost:8788/health
$ curl -s http://127.0.0.1:8788«/api/v1/locks»?x=1 | jq .
$ curl http://127.0.0.1:9090/api/v1/query
$ curl https://example.org/api/v2
```

`/health`, `GET /metrics`, `«/api/v2/status»`, `GET «/healthz»`, `/etc/gpulockd/config.yml`, `/metrics?x`，访问
http://localhost:8788«/status» 查看。
""",
    "method-unknown": """\
```bash
curl -X POST http://localhost:8788«/health»
curl http://localhost:8788/health
curl -d x=1 http://localhost:8788«/api/v1/status»
```

`POST «/metrics»` and `GET /metrics`
""",
    "port-differs": """\
```bash
curl http://localhost:«8778»/health
curl http://localhost:8788/health
curl http://localhost:6379/
```
""",
    "metric-unknown": """\
`gpu_lock_held`, `«gpu_lock_waiting»`, `gpu_lock_acquisitions_total{outcome="granted"}`, `gpu_lock_monitor`,
`gpu_lock.poll_interval`, `gpulockd_build_info`, `gpu_lock`

```promql
rate(gpu_lock_ends_total[5m]) > 0 and «gpu_lock_end_total» > 1
```

```yaml
gpu_lock_monitor:
  monitor_interval: 30
```
""",
}


@pytest.mark.parametrize(("rule", "text"), SERVED.items(), ids=SERVED)
def test_what_there_is_not(workshop: Workshop, rule: str, text: str) -> None:
    assert workshop.found(text, rule) == marks(text)[1]


def test_variables_that_nothing_reads(workshop: Workshop) -> None:
    text = """\
`GPULOCKD__REDIS__URL`, `«GPULOCKD__REDIS__URI»`, `GPULOCKD__SECTION__KEY`, `GPULOCKD__...`, `GPU_LOCK_POLL_INTERVAL`

```sh
export «GPU_LOCK_POLL_INTERVALL»=2
export OTHER_VARIABLE=2
```
"""
    assert workshop.found(text, "variable-unknown") == marks(text)[1]
