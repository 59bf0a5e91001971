"""Values in blocks, tables, prose and variables: what differs is found at its place, what agrees is not."""

from __future__ import annotations

import pytest

from .marked import Workshop, marks

BLOCKS = {
    "plain": """\
```yaml
gpu_lock:
  poll_interval: «0.5»
  max_wait_time: 30m
  lock_timeout: «"10m"»
```
""",
    "dotted and nested, in a list, in Chinese": """\
# 指南

1. 修改配置文件：

   ```yml
   gpu_lock_monitor:
     timeout_levels: {warning: «900», hard_timeout: 7200}
     heartbeat:
       interval: «30»  # 秒
   ```

2. 重启。
""",
    "a part of the whole": """\
```yaml
timeout_levels:
  warning: «60»
```
""",
    "several documents and blocks, of which some are examples": """\
```yaml
gpu_lock:
  poll_interval: 2
---
redis:
  namespace: «other»
```

For example:

```yaml
gpu_lock:
  poll_interval: 9
```

```yaml
# before
gpu_lock:
  poll_interval: 0.5
```

```yaml example
gpu_lock:
  poll_interval: 9
```

Now, for instance:

```yaml
gpu_lock:
  poll_interval: 9
```

## 优化建议

```yaml
gpu_lock:
  poll_interval: 1
```
""",
    "somebody else's": """\
```yaml
services:
  worker:
    timeout: 5
    environment: [A=1]
```

```yaml
http:
  routers: {web: {rule: Host}}
```
""",
    "booleans and text": """\
```yaml
gpu_lock:
  use_event_driven: «false»
redis:
  url: «"redis://other:6379/0"»
```
""",
}

TABLES = {
    "English": """\
| key | value | meaning |
|---|---|---|
| `poll_interval` | «0.5» | the pause |
| `gpu_lock.max_wait_time` | 30 min | how long |
| `lock_timeout` | `«600»` | 1 to 5 |
| `warning` | «1» | many things are called so |
""",
    "Chinese, with units, full width and bold": """\
| 配置项 | 当前值 | 说明 |
| :--- | :---: | --- |
| `poll_interval` | 2秒 | 轮询间隔 |
| `max_wait_time` | «300 秒» | 最长等待 |
| `max_wait_time` | １８００秒（30分钟） | 最长等待 |
| `lock_timeout` | **«10 分钟»** | 锁超时 |
| `max_poll_interval` | 10，默认 | |
| `use_event_driven` | «关闭» | |
| `use_event_driven` | 启用 | |
""",
    "a column of units": """\
| setting | value | unit |
|---|---|---|
| `poll_interval` | 2000 | ms |
| `max_wait_time` | 0.5 | hours |
| `fallback_timeout` | «30» | min |
""",
    "suggestions beside what is": """\
| parameter | current | suggested | expected gain | risk | status |
|---|---|---|---|---|---|
| `poll_interval` | «5» | 1 | faster | low | to be verified |
| `max_wait_time` | 1800 | 600 | | | 待验证 |
""",
    "before and after": """\
| 参数 | 优化前 | 优化后 |
|---|---|---|
| `poll_interval` | 0.5 | 1 |
""",
    "parameters, of which one is called as a setting is": """\
| parameter | default |
|---|---|
| `gpus` | `1` |
| `priority` | `0` |
| `port` | `1` |
""",
    "what is no single value": """\
| key | value |
|---|---|
| `poll_interval` | 1–5 |
| `max_poll_interval` | 0.5 → 10 |
| `lock_timeout` | ≥ 60 |
| `fallback_timeout` | – |
| `use_event_driven` | `true` / `false` |
""",
    "pipes in cells, and a table in a quotation": """\
> | key | meaning | value |
> |---|---|---|
> | `poll_interval` | a \\| b | «0.5» |
""",
}

PROSE = {
    "English": """\
`poll_interval` is «5 seconds», and `max_wait_time` is 30 minutes.

The daemon polls every «500 ms». It waits for the time of `max_wait_time` («300» seconds).

`lock_timeout` defaults to «10 min»; `fallback_timeout`: 30 s.

After half an hour (`max_wait_time`), or «ten minutes» (`lock_timeout`).

The lock timeout is «2 hours» and the poll interval is 2 s. The pause (`poll_interval`) is «3 s» long.

It grows to `max_poll_interval`, which is «15» seconds. Somebody waits for at most «20 minutes» (`max_wait_time`).

`fallback_timeout` (0: at once), `lock_timeout` (60 min).
""",
    "Chinese": """\
`poll_interval` 为 «0.5 秒»，`max_wait_time` 是 1800 秒。

当前轮询间隔为«５００毫秒»，最大等待时间是30分钟。

锁超时默认为 «10 分钟»。最多等«5分钟»（`max_wait_time`），不超过锁超时：`lock_timeout` = «2 小时»。

超过 5 秒（`poll_interval`）就慢了。

轮询间隔（`poll_interval`）为 «3 秒»。
""",
    "what is supposed, advised, remembered": """\
If `poll_interval` is 5 seconds, a freed lease is noticed late. Set `poll_interval` to 1 second where it hurts.

`poll_interval` was 0.5 seconds until June. Formerly `lock_timeout` was 600.

如果 `poll_interval` 为 0.5 秒，则负载较高。建议将 `lock_timeout` 设置为 10 分钟。`max_wait_time` 从 300 改为 1800。

`poll_interval` must be at least 0.05, and there are 7 things to say about `lock_timeout`.
""",
    "inline code": """\
Production runs `poll_interval: «0.5»`, `max_wait_time=1800`.

- `lock_timeout: «600»`
- with `poll_interval: 9` it would be slow
""",
    "history": """\
## Changes

`poll_interval` is 0.5 seconds.
""",
}

VARIABLES = {
    "value-in-environment": """\
```console
$ export GPU_LOCK_POLL_INTERVAL=«0.5»
$ GPULOCKD__HTTP__PORT=8788 gpulockd
```

```yaml
environment:
  - GPU_LOCK_MAX_WAIT_TIME=«300»
```

An example:

```sh
GPU_LOCK_POLL_INTERVAL=9
```
""",
    "value-in-prose": "- `GPU_LOCK_LOCK_TIMEOUT=«600»`\n- set `GPU_LOCK_LOCK_TIMEOUT=600`\n",
}

CASES = [
    *((f"block: {name}", "value-in-block", text) for name, text in BLOCKS.items()),
    *((f"table: {name}", "value-in-table", text) for name, text in TABLES.items()),
    *((f"prose: {name}", "value-in-prose", text) for name, text in PROSE.items()),
    *((f"variables: {rule}", rule, text) for rule, text in VARIABLES.items()),
]


@pytest.mark.parametrize(("rule", "text"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_differs_is_found_at_its_place(workshop: Workshop, rule: str, text: str) -> None:
    assert workshop.found(text, rule) == marks(text)[1]


def test_a_finding_says_what_stands_there_what_is_true_and_why(workshop: Workshop) -> None:
    workshop.write("guide.md", "| 配置项 | 值 |\n|---|---|\n| `poll_interval` | 0.5秒 |\n")
    (finding,) = workshop.audit().findings
    assert finding.message == "gpu_lock.poll_interval is 0.5秒 here, but it is 2 (config.yml:4:18)"
    assert str(finding.place) == "guide.md:3:21"
