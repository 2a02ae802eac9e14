# Written by Tutti: tells it what happens, a JSON object a line, on the descriptor TUTTI_EVENTS.
import json
import os
import threading

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r'''
name: tutti_events
type: stdout
short_description: Tells Tutti what happens
description: Writes each event as a JSON object on a line of its own to a descriptor that Tutti gave.
'''

# What is longer is cut: of a text that is shown, and of a side of a diff.
MAX_TEXT = 16 << 10
MAX_SIDE = 1 << 20
SHOWN = ('changed', 'msg', 'stderr', 'module_stderr', 'reason', 'skip_reason', 'dest', 'path')
SIDES = ('before', 'after', 'prepared')


def short(value, most):
    if isinstance(value, str) and len(value) > most:
        return value[:most] + '\u2026'
    return value


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = 'stdout'
    CALLBACK_NAME = 'tutti_events'

    def __init__(self):
        super().__init__()
        self._to = os.fdopen(int(os.environ['TUTTI_EVENTS']), 'w', encoding='ascii')
        self._one = threading.Lock()

    def _tell(self, kind, **more):
        line = json.dumps(dict(more, kind=kind), default=str)
        with self._one:
            self._to.write(line + '\n')
            self._to.flush()

    def _answer(self, result):
        answer = {k: short(result[k], MAX_TEXT) for k in SHOWN if k in result}
        diffs = result.get('diff')
        if diffs:
            diffs = diffs if isinstance(diffs, list) else [diffs]
            answer['diff'] = [{k: short(v, MAX_SIDE) if k in SIDES else v for k, v in d.items()} for d in diffs if isinstance(d, dict)]
        return answer

    def _result(self, result, status, item=False, ignored=False):
        got, task = result._result, result._task
        if status == 'ok' and got.get('changed'):
            status = 'changed'
        more = {'host': result._host.get_name(), 'status': status, 'answer': self._answer(got), 'ignored': bool(ignored)}
        if item:
            more['item'] = str(self._get_item_label(got))
        elif isinstance(got.get('results'), list) and task.loop is not None:
            more['loop'] = True
        self._tell('result', task=task.get_name(), action=task.action, **more)

    def v2_playbook_on_play_start(self, play):
        self._tell('play', play=play.get_name())

    def v2_playbook_on_task_start(self, task, is_conditional):
        self._tell('task', task=task.get_name(), action=task.action, at=str(task.get_path() or ''))

    def v2_playbook_on_handler_task_start(self, task):
        self.v2_playbook_on_task_start(task, False)

    def v2_playbook_on_cleanup_task_start(self, task):
        self.v2_playbook_on_task_start(task, False)

    def v2_playbook_on_no_hosts_matched(self):
        self._tell('note', message='no host is matched')

    def v2_playbook_on_no_hosts_remaining(self):
        self._tell('note', message='no host is left')

    def v2_runner_on_ok(self, result):
        self._result(result, 'ok')

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._result(result, 'failed', ignored=ignore_errors)

    def v2_runner_on_unreachable(self, result):
        self._result(result, 'unreachable', ignored=result._task.ignore_unreachable)

    def v2_runner_on_skipped(self, result):
        self._result(result, 'skipped')

    def v2_runner_item_on_ok(self, result):
        self._result(result, 'ok', item=True)

    def v2_runner_item_on_failed(self, result):
        self._result(result, 'failed', item=True, ignored=result._task.ignore_errors)

    def v2_runner_item_on_skipped(self, result):
        self._result(result, 'skipped', item=True)

    def v2_runner_retry(self, result):
        got = result._result
        self._tell('note', message='%s: %s: try %s of %s failed' % (result._host.get_name(), result._task.get_name(), got.get('attempts'), got.get('retries')))

    def v2_playbook_on_stats(self, stats):
        counts = {}
        for host in stats.processed:
            s = stats.summarize(host)
            counts[host] = {'ok': s['ok'], 'changed': s['changed'], 'failed': s['failures'], 'unreachable': s['unreachable'],
                            'skipped': s['skipped'], 'rescued': s['rescued'], 'ignored': s['ignored']}
        self._tell('stats', counts=counts, values=stats.custom.get('_run') or {})
