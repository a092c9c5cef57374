"""What Ray is asked for, by a stand-in that begins no process; no Ray needed.

A real one: `make cluster`.
"""

import pathlib
import signal
import sys
import types
from typing import Any

import pytest

from lstm_variants.launch import engine
from lstm_variants.launch import ray as launcher


class _Ray(types.ModuleType):
  """Notes what it is asked for; `over` says when tasks are over."""

  def __init__(self):
    super().__init__('ray')
    self.asked: dict[str, Any] = {}
    self.tasks: list[tuple[Any, ...]] = []
    self.over = False
    self.is_connected = False
    self.address: str | None = ''
    self.patience: list[float] = []

  def init(self, **asked: Any) -> None:
    if asked['address'] == 'nowhere':
      raise ConnectionError('nobody\nanswers')
    self.is_connected, self.address = True, asked['address']
    signal.signal(signal.SIGTERM, lambda *unused: None)

  def remote(self, **asked: Any):
    self.asked = asked

    def task(work):
      assert work is launcher.work
      return types.SimpleNamespace(remote=lambda *each: self.tasks.append(each))

    return task

  def wait(self, tasks, num_returns, timeout):
    # Or it might wait for ever.
    assert num_returns == len(tasks) and timeout > 0 and self.is_connected
    self.patience.append(timeout)
    return (tasks, []) if self.over else ([], tasks)

  def shutdown(self) -> None:
    self.is_connected = False


@pytest.fixture
def ray(monkeypatch) -> _Ray:
  """Put the stand-in where Ray would be imported from."""
  stand_in = _Ray()
  monkeypatch.setitem(sys.modules, 'ray', stand_in)
  for name in ('JAX_PLATFORMS', 'XLA_FLAGS', 'JAX_NUM_CPU_DEVICES'):
    monkeypatch.delenv(name, raising=False)
  return stand_in


def _job(workdir, *options: str, **more: Any) -> engine.Job:
  more.setdefault('is_trained', lambda: True)
  return engine.Job(['sweep', '--share'], str(workdir), 3, options, **more)


def _environ(ray: _Ray) -> dict[str, str]:
  (environ,) = {tuple(task[2].items()) for task in ray.tasks}
  return dict(environ)


def test_each_worker_is_a_task_with_its_resources_and_a_log(ray, tmp_path):
  options = ('num_cpus=4', 'num_gpus=1', 'address=here:1')
  assert launcher.launch(_job(tmp_path, *options))
  assert ray.address == 'here:1' and (tmp_path / 'workers').is_dir()
  assert (ray.asked['num_cpus'], ray.asked['num_gpus']) == (4, 1)
  assert [task[3].name for task in ray.tasks] == [
    'ray-0.log',
    'ray-1.log',
    'ray-2.log',
  ]
  assert {task[3].parent for task in ray.tasks} == {tmp_path / 'workers'}
  assert all(task[0] == ['sweep', '--share', '--wait'] for task in ray.tasks)
  assert {task[1] for task in ray.tasks} == {str(pathlib.Path.cwd())}
  assert _environ(ray)['JAX_NUM_CPU_DEVICES'] == '4'
  # When all is trained workers see that soon, and end by themselves.
  assert ray.patience[-1] > 10 and not ray.is_connected


def test_a_worker_with_a_part_of_a_core_has_a_device(ray, tmp_path):
  launcher.launch(_job(tmp_path, 'num_cpus=0.5'))
  assert _environ(ray)['JAX_NUM_CPU_DEVICES'] == '1'


@pytest.mark.parametrize(
  ('gpus', 'has'),
  [
    ('0', {'JAX_PLATFORMS': 'cpu'}),
    ('0.5', {'XLA_PYTHON_CLIENT_PREALLOCATE': 'false'}),
    ('1', {}),
  ],
)
def test_workers_see_the_gpus_that_they_were_given(ray, tmp_path, gpus, has):
  launcher.launch(_job(tmp_path, f'num_gpus={gpus}'))
  environ = _environ(ray)
  for name in ('JAX_PLATFORMS', 'XLA_PYTHON_CLIENT_PREALLOCATE'):
    assert environ.get(name) == has.get(name)


def test_what_the_user_set_for_jax_reaches_the_workers(
  ray, tmp_path, monkeypatch
):
  given = {
    'JAX_PLATFORMS': 'tpu',
    'JAX_NUM_CPU_DEVICES': '3',
    'XLA_FLAGS': '--xla_dump_to=there',
    'PYTHONPATH': 'here',
  }
  for name, value in {**given, 'HOME': 'elsewhere'}.items():
    monkeypatch.setenv(name, value)
  launcher.launch(_job(tmp_path))
  assert given.items() <= _environ(ray).items()
  assert 'HOME' not in _environ(ray)


def test_a_task_is_begun_again_where_its_worker_was_killed_alone(
  ray, tmp_path, monkeypatch
):
  monkeypatch.chdir(tmp_path)
  launcher.launch(_job(tmp_path))
  assert ray.asked['retry_exceptions'] == [launcher.KilledError]
  assert ray.asked['max_retries'] > 0
  script = ['-c', 'import os, sys; sys.exit(int(sys.argv[1]))']
  monkeypatch.setattr(
    engine.children,
    'command',
    lambda words: [sys.executable, *script, *words],
  )
  place = str(tmp_path)
  for status in ('0', '2', '3', '4', '6'):
    given = ([status], place, {}, tmp_path / 'log')
    assert launcher.work(*given) == int(status)
  for status in ('137', '143'):
    with pytest.raises(launcher.KilledError):
      launcher.work([status], place, {}, tmp_path / 'log')
  monkeypatch.setattr(
    engine.children, 'command', lambda words: ['sh', '-c', 'kill -9 $$']
  )
  with pytest.raises(launcher.KilledError):
    launcher.work([], place, {}, tmp_path / 'log')


def test_a_task_works_where_the_launcher_does_and_goes_on_with_its_log(
  tmp_path, monkeypatch
):
  (tmp_path / 'there').mkdir()
  monkeypatch.chdir(tmp_path)  # and back at the end
  monkeypatch.setattr(
    engine.children,
    'command',
    lambda words: ['sh', '-c', 'echo $PWD $LSTM_VARIANTS_LOG $MORE'],
  )
  log = tmp_path / 'log'
  log.write_text('before\n')
  place = tmp_path / 'there'
  assert launcher.work([], str(place), {'MORE': 'more'}, log) == 0
  assert log.read_text() == f'before\n{place} {log} more\n'


def test_tasks_that_end_before_all_is_trained_are_an_error(
  ray, tmp_path, monkeypatch
):
  ray.over = True
  with pytest.raises(engine.UntrainedError):
    launcher.launch(_job(tmp_path, is_trained=lambda: False))
  assert not ray.is_connected


def test_a_signal_ends_a_launcher_whose_tasks_never_answer(
  ray, tmp_path, monkeypatch
):
  monkeypatch.setattr(engine.interrupt._State, 'requested', signal.SIGTERM)
  before = signal.getsignal(signal.SIGTERM)
  with pytest.raises(engine.StoppedError) as error:
    launcher.launch(_job(tmp_path, is_trained=lambda: False))
  assert error.value.exit_status == 143
  assert not ray.is_connected
  assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize(
  ('option', 'line'),
  [
    ('num_gpu=1', 'unknown; nearest: --launch_option=num_gpus=…'),
    ('num_cpus=many', 'must be 0 or more'),
    ('num_cpus=-1', 'must be 0 or more'),
    ('address=nowhere', 'address=nowhere: nobody answers'),
  ],
)
def test_options_that_ray_cannot_take_are_refused(ray, tmp_path, option, line):
  with pytest.raises(engine.EngineError, match=line):
    launcher.launch(_job(tmp_path, option))
  assert not ray.tasks


def test_a_dry_run_connects_to_nothing_and_writes_nothing(
  tmp_path, capsys, monkeypatch
):
  monkeypatch.setitem(sys.modules, 'ray', None)
  launcher.launch(_job(tmp_path / 'runs', 'num_gpus=1', dry_run=True))
  printed = capsys.readouterr().out
  assert "3 tasks of {'num_cpus': 1.0, 'num_gpus': 1.0}: " in printed
  assert printed.endswith(' sweep --share --wait\n')  # as they are started
  assert not (tmp_path / 'runs').exists()


def test_without_ray_one_line_says_how_to_install_it(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, 'ray', None)
  with pytest.raises(engine.EngineError, match=r'pip install .*\[ray\]'):
    launcher.launch(_job(tmp_path / 'runs'))
  assert not pathlib.Path(tmp_path / 'runs').exists()
