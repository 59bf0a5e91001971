"""Keys that documents name, keys that they do not, and places that disagree about one."""

from __future__ import annotations

import pytest

from .marked import CONFIG, Workshop, marks

UNKNOWN = {
    "in a block": """\
```yaml
gpu_lock:
  poll_interval: 2
  «max_retries»: 3
gpu_lock_monitor:
  timeout_levels:
    «medium»: 5
```
""",
    "in a block of an example: it would not be accepted": """\
For example:

```yaml
gpu_lock:
  «poll_intervall»: 5
```
""",
    "in a suggestion it may be new": """\
## Suggestions

```yaml
gpu_lock:
  adaptive_polling: true
```
""",
    "in a table": """\
| 参数 | 值 |
|---|---|
| `poll_interval` | 2 |
| `max_wait_time` | 1800 |
| `«max_retry_count»` | 3 |
""",
    "in a table of something else": """\
| function | meaning |
|---|---|
| `read_file` | reads |
| `write_file` | writes, every `poll_interval` |
""",
    "in a sentence": "`«gpu_lock.max_retries»` 已删除？ `gpu_lock.poll_interval` 仍在。`redis.asyncio` is a module.\n",
    "misspelled in a section with a common name": "`«redis.namspace»` begins every key; `daemon.pid` is a file.\n",
}


@pytest.mark.parametrize("text", UNKNOWN.values(), ids=UNKNOWN)
def test_keys_that_there_are_not(workshop: Workshop, text: str) -> None:
    found = workshop.found(text, "key-unknown")
    expected = [(mark.line, mark.column) for mark in marks(text)[1]]
    assert [(mark.line, mark.column) for mark in found] == expected


def test_a_missing_key_is_told_where_its_neighbours_are_documented(workshop: Workshop) -> None:
    rules = "profile: generic\n"
    documented = "`max_wait_time`, `lock_timeout`, `poll_interval`, `max_poll_interval` 和 `use_event_driven`。\n"
    workshop.write("guide.md", documented)
    findings = workshop.audit(rules=rules).findings
    assert [(each.rule, str(each.place)) for each in findings] == [("key-undocumented", "config.yml:7:3")]
    workshop.write("guide.md", "Only `poll_interval` matters here.\n")
    assert workshop.audit(rules=rules).findings == []


def test_two_files_that_set_one_key(workshop: Workshop) -> None:
    workshop.write("production.yml", "gpu_lock:\n  poll_interval: 5\n  max_wait_time: 30m\n")
    workshop.write("guide.md", "| key | value |\n|---|---|\n| `poll_interval` | 5 |\n")
    assert workshop.audit_of("production.yml").findings == []
    config = CONFIG.replace("poll_interval: 2", "poll_interval: 2 # audit: ignore files-disagree tests poll faster")
    workshop.write("test.yml", config)
    findings = workshop.audit_of("production.yml", "test.yml").findings
    assert findings == []
    workshop.write("test.yml", CONFIG)
    (finding,) = workshop.audit_of("production.yml", "test.yml").findings
    assert finding.rule == "files-disagree"
    assert finding.message == "gpu_lock.poll_interval is 2 here, but it is 5 (production.yml:2:18)"


def test_what_the_code_does_not_know(workshop: Workshop) -> None:
    workshop.write("config.yml", CONFIG.replace("poll_interval: 2", "poll_intervall: 2", 1))
    workshop.write("guide.md", "Nothing.\n")
    (finding,) = workshop.audit().findings
    assert (finding.rule, str(finding.place)) == ("key-foreign", "config.yml:4:3")
    assert finding.hint == "did you mean gpu_lock.poll_interval?"


def test_the_file_that_comes_with_the_code_has_every_default(workshop: Workshop) -> None:
    workshop.write("gpulockd/config/model.py", "")
    workshop.write("config.yml", CONFIG.replace("poll_interval: 2", "poll_interval: 3", 1))
    workshop.write("guide.md", "Nothing.\n")
    findings = workshop.audit().findings
    assert [each.message for each in findings if each.rule == "default-differs"] == [
        "gpu_lock.poll_interval is 3 here, but its default is 2 (gpulockd/config/model.py)",
        'redis.url is redis://localhost:6379/0 here, but its default is "" (gpulockd/config/model.py)',
    ]
    assert "daemon.socket is not in this file" in {each.says for each in findings if each.rule == "key-hidden"}


def test_a_block_that_is_no_yaml(workshop: Workshop) -> None:
    text = "```yaml\ngpu_lock:\n  poll_interval: [0.5\n```\n\n```yaml\nsomething: [else\n```\n"
    assert [mark.line for mark in workshop.found(text, "block-broken")] == [3]
