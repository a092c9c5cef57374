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

  def init(self, **asked: Any) -> None:
    if asked['address'] == 'nowhere':
      raise ConnectionError('nobody\nanswers')
    self.is_connected = True
    signal.signal(signal.SIGTERM, lambda *unused: None)

  def remote(self, **asked: Any):
    self.asked = asked

    def task(work):
      assert work is launcher.work
      return types.SimpleNamespace(remote=lambda *each: self.tasks.append(each))

    return task

  def wait(self, tasks, num_returns, timeout):
    assert (
      num_returns == len(tasks) and timeout > 0
    )  # or it might wait for ever
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
  launcher.launch(_job(tmp_path, 'num_cpus=4', 'num_gpus=1'))
  assert (ray.asked['num_cpus'], ray.asked['num_gpus']) == (4, 1)
  assert [task[3].name for task in ray.tasks] == [
    'ray-0.log',
    'ray-1.log',
    'ray-2.log',
  ]
  assert {task[3].parent for task in ray.tasks} == {tmp_path / 'workers'}
  assert all(task[0] == ['sweep', '--share', '--wait'] for task in ray.tasks)
  assert _environ(ray)['JAX_NUM_CPU_DEVICES'] == '4'
  assert not ray.is_connected


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
  monkeypatch.setenv('JAX_PLATFORMS', 'tpu')
  monkeypatch.setenv('HOME', 'elsewhere')
  launcher.launch(_job(tmp_path))
  assert _environ(ray)['JAX_PLATFORMS'] == 'tpu'
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
  assert 'sweep' in printed and "'num_gpus': 1.0" in printed
  assert not (tmp_path / 'runs').exists()


def test_without_ray_one_line_says_how_to_install_it(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, 'ray', None)
  with pytest.raises(engine.EngineError, match=r'pip install .*\[ray\]'):
    launcher.launch(_job(tmp_path / 'runs'))
  assert not pathlib.Path(tmp_path / 'runs').exists()
