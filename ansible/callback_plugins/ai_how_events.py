"""Tells the program that started ansible-playbook what happens, one JSON object a line on standard output.

Each such line starts with the ASCII record separator (as in RFC 7464), so it cannot be taken for one of the lines that
Ansible prints for people. A result of a task with `no_log` is censored by Ansible before it gets here.
"""

import json
import sys
import time

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: ai_how_events
type: notification
short_description: One JSON line for each result, for ai-how
description:
  - Prints a line for each result of a task on a node, and one for each node at the end.
requirements:
  - enabling in configuration
"""

RECORD_SEPARATOR = "\x1e"
LONGEST_MESSAGE = 2000


class CallbackModule(CallbackBase):
    """Turns results into lines."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "ai_how_events"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self):
        super().__init__()
        self.play = ""
        self.started = {}

    def v2_playbook_on_play_start(self, play):
        self.play = play.get_name()

    def v2_runner_on_start(self, host, task):
        self.started[host.get_name(), task._uuid] = time.monotonic()

    def v2_runner_on_ok(self, result):
        self._task(result, "changed" if result.is_changed() else "ok")

    def v2_runner_on_skipped(self, result):
        self._task(result, "skipped")

    def v2_runner_on_failed(self, result, ignore_errors=False):
        # A failure that the play goes on from is not one for the reader.
        self._task(result, "ok" if ignore_errors else "failed")

    def v2_runner_on_unreachable(self, result):
        self._task(result, "unreachable")

    def v2_playbook_on_stats(self, stats):
        nodes = {node: stats.summarize(node) for node in sorted(stats.processed)}
        self._line({"event": "end", "nodes": nodes})

    def _task(self, result, status):
        node, now = result._host.get_name(), time.monotonic()
        self._line({
            "event": "task",
            "play": self.play,
            "task": result._task.get_name(),
            "node": node,
            "status": status,
            "message": "" if status in ("ok", "changed") else _message(result._result),
            "seconds": round(now - self.started.pop((node, result._task._uuid), now), 3),
        })

    def _line(self, content):
        sys.stdout.write(RECORD_SEPARATOR + json.dumps(content) + "\n")
        sys.stdout.flush()


def _message(result):
    """What a person wants to know of a result that is not good: the words of each bad item, or of the result itself."""
    bad = [item for item in result.get("results", []) if item.get("failed") or item.get("unreachable")]
    said = "; ".join(filter(None, map(_words, bad))) or _words(result)
    return said[:LONGEST_MESSAGE]


def _words(result):
    said = [result.get("msg") or result.get("skipped_reason") or result.get("skip_reason")]
    said += [result.get("stderr") or result.get("module_stderr") or result.get("stdout")]
    return ": ".join(str(words).strip() for words in said if words) or str(result.get("censored", ""))
