# Events as ansible-runner tells AWX, beside the usual output. For the stand-in of tests.
import json
import os

from ansible.plugins.callback.default import CallbackModule as Default

DOCUMENTATION = r'''
name: awx_events
type: stdout
short_description: Events as ansible-runner tells AWX
description: Writes events to a file, for a stand-in of AWX.
extends_documentation_fragment:
  - default_callback
  - result_format_callback
'''


class CallbackModule(Default):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = 'stdout'
    CALLBACK_NAME = 'awx_events'

    def __init__(self):
        super().__init__()
        self._play_name = ''
        self._n = 0
        self._to = open(os.environ['AWX_EVENTS'], 'a', encoding='ascii')

    def _tell(self, event, **data):
        self._n += 1
        self._to.write(json.dumps({'counter': self._n, 'event': event, 'event_data': data, 'stdout': ''}, default=str) + '\n')
        self._to.flush()

    def _about(self, task):
        return {'play': self._play_name, 'task': task.get_name(), 'task_action': task.action, 'task_path': str(task.get_path() or '')}

    def _result(self, event, result, **more):
        self._tell(event, host=result._host.get_name(), res=result._result, event_loop=getattr(result._task, 'loop', None) and 'loop', **self._about(result._task), **more)

    def v2_playbook_on_play_start(self, play):
        super().v2_playbook_on_play_start(play)
        self._play_name = play.get_name()
        self._tell('playbook_on_play_start', name=play.get_name(), play=play.get_name())

    def v2_playbook_on_task_start(self, task, is_conditional):
        super().v2_playbook_on_task_start(task, is_conditional)
        self._tell('playbook_on_task_start', name=task.get_name(), **self._about(task))

    def v2_runner_on_ok(self, result):
        super().v2_runner_on_ok(result)
        self._result('runner_on_ok', result)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        super().v2_runner_on_failed(result, ignore_errors)
        self._result('runner_on_failed', result, ignore_errors=bool(ignore_errors))

    def v2_runner_on_unreachable(self, result):
        super().v2_runner_on_unreachable(result)
        self._result('runner_on_unreachable', result)

    def v2_runner_on_skipped(self, result):
        super().v2_runner_on_skipped(result)
        self._result('runner_on_skipped', result)

    def v2_runner_item_on_ok(self, result):
        super().v2_runner_item_on_ok(result)
        self._result('runner_item_on_ok', result)

    def v2_runner_item_on_failed(self, result):
        super().v2_runner_item_on_failed(result)
        self._result('runner_item_on_failed', result)

    def v2_runner_item_on_skipped(self, result):
        super().v2_runner_item_on_skipped(result)
        self._result('runner_item_on_skipped', result)

    def v2_on_file_diff(self, result):
        super().v2_on_file_diff(result)
        self._tell('runner_on_file_diff', host=result._host.get_name(), diff=result._result.get('diff'), **self._about(result._task))

    def v2_playbook_on_stats(self, stats):
        super().v2_playbook_on_stats(stats)
        self._tell('playbook_on_stats', processed=stats.processed, ok=stats.ok, changed=stats.changed, failures=stats.failures, dark=stats.dark,
                   skipped=stats.skipped, rescued=stats.rescued, ignored=stats.ignored, artifact_data=stats.custom.get('_run') or {})
