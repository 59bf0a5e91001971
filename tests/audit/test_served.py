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

`GET /-/org/:scope/user` is another server's.

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
    "port-differs, without a scheme": """\
```yaml
scrape_configs:
  - static_configs: [{targets: ["localhost:«8789»", "10.0.0.1:8789", "localhost:8788"]}]
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
    assert workshop.found(text, rule.partition(",")[0]) == marks(text)[1]


def test_variables_that_nothing_reads(workshop: Workshop) -> None:
    text = """\
`GPULOCKD__REDIS__URL`, `«GPULOCKD__REDIS__URI»`, `GPULOCKD__SECTION__KEY`, `GPULOCKD__...`, `GPU_LOCK_POLL_INTERVAL`

```sh
export «GPU_LOCK_POLL_INTERVALL»=2
export OTHER_VARIABLE=2
```
"""
    assert workshop.found(text, "variable-unknown") == marks(text)[1]


ALERTS = """\
groups:
  - name: locks
    rules:
      - {alert: GPULockLost, expr: "lost > 0"}
      - {alert: GPULockIdle, expr: "idle > 0"}
"""

NAMED = {
    "a table, the word, and a runbook": """\
| alert | meaning |
|---|---|
| `GPULockLost` | a lock was lost |
| [`«GPULockLots»`](#runbook) | nothing |
| none | of them |

The alert `GPULockIdle` comes late, the alert `«GPULockIdel»` never. `GPULockManager` is a class, alerting is fun.

## Runbook

### GPULockLost

### «GPULockIdler»

### GPULockIdle

## Others

### GPULockManager

### Interface
""",
    "Chinese": """\
| 告警名称 | 含义 |
|---|---|
| `GPULockLost` | 锁丢失 |
| `«GPULockLots»` | 无 |

告警 `GPULockIdle` 与告警：`«GPULockIdel»`。

## 建议

可以增加告警 `GPULockNew`。
""",
}


@pytest.mark.parametrize("text", NAMED.values(), ids=NAMED)
def test_alerts_are_those_of_the_rule_files(workshop: Workshop, text: str) -> None:
    workshop.write("monitoring/locks.yml", ALERTS)
    assert workshop.found(text, "alert-unknown", "alerts: [monitoring/*.yml]\n") == marks(text)[1]
    assert workshop.found(text, "alert-unknown") == [], "where no rule file is known, nothing is said"
