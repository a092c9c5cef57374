"""Ray trains a study: tasks with resources, each of them one worker.

A worker is a process of its own, which saves and ends when its task does. The
task of a node or a worker that died is begun again, that of a worker that
refused is not. When all is trained the directory tells, and no task: the answer
of a node that is cut off never comes.
"""

from collections.abc import Mapping, Sequence
import importlib
import math
import os
import pathlib
import shlex
import signal
from typing import Any

from lstm_variants import console
from lstm_variants.launch import engine
from lstm_variants.training import interrupt

# What each worker has, and what it has by default.
_RESOURCES = {'num_cpus': 1.0, 'num_gpus': 0.0}
# Not for ever, as where memory is never enough.
_RETRIES = 10
# Of the launcher's environment, so much is the workers' too; all else is that
# of their nodes.
_PASSED = ('JAX_', 'XLA_', 'PYTHONPATH')
# Seconds between two looks, and in which workers end by themselves.
_LOOK, _END = 1.0, 30.0


class KilledError(Exception):
  """A worker was killed, or told to save and end."""


def launch(job: engine.Job) -> bool:
  """Start the workers, and stay until all is trained; then this is True.

  Raises:
    EngineError: Ray, or a cluster of that address, is not there.
    UntrainedError: the workers have ended before all was trained.
    StoppedError: a signal asked for the end.
  """
  options = engine.options(job, ('address', *_RESOURCES))
  resources = {name: _number(name, options) for name in _RESOURCES}
  # As it may be begun again elsewhere, each waits for what others had there.
  job = job._replace(arguments=[*job.arguments, '--wait'])
  if job.dry_run:
    command = shlex.join(job.command)
    console.say(f'{job.workers} tasks of {resources}: {command}')
    return False
  ray = _connect(options.get('address'))
  try:
    job = engine.make_logs(job)
    task = ray.remote(
      max_retries=_RETRIES, retry_exceptions=[KilledError], **resources
    )(work)
    given = (job.arguments, os.getcwd(), _environ(resources))
    tasks = [
      task.remote(*given, job.logs / f'ray-{number}.log')
      for number in range(job.workers)
    ]
    engine.stay(job, lambda: _is_running(ray, tasks, _LOOK))
    _is_running(ray, tasks, _END)  # they see it, and end by themselves
  finally:
    ray.shutdown()  # ends what is not over
  return True


def work(
  arguments: Sequence[str],
  place: str,
  environ: Mapping[str, str],
  log: pathlib.Path,
) -> int:
  """Be a task: start a worker, and return its exit status.

  Args:
    arguments: of `lstm-variants`.
    place: the directory where it works.
    environ: what is added to its environment.
    log: gets what it prints.

  Raises:
    KilledError: it is to be begun again.
  """
  os.chdir(place)
  with engine.start(arguments, log, environ) as child:
    status = child.wait()
  if status < 0 or status > 128:
    raise KilledError(status)
  return status


def _is_running(ray: Any, tasks: Sequence[Any], seconds: float) -> bool:
  """Tell whether some tasks are not over, after so many seconds at most."""
  _, running = ray.wait(tasks, num_returns=len(tasks), timeout=seconds)
  return bool(running)


def _connect(address: str | None) -> Any:
  """Return Ray, connected: to a cluster, or to one of this machine alone."""
  try:
    ray: Any = importlib.import_module('ray')
  except ImportError as error:
    raise engine.EngineError(
      "--launch=ray: no ray here; nearest: pip install 'lstm-variants[ray]'"
    ) from error
  answers = {each: signal.getsignal(each) for each in interrupt.SIGNALS}
  try:
    ray.init(address=address, log_to_driver=False, logging_level='error')
  except (ConnectionError, ValueError, RuntimeError) as error:
    raise engine.EngineError(
      f'--launch_option=address={address}: {error}'
    ) from error
  for each, answer in answers.items():  # it takes some for itself
    signal.signal(each, answer)
  return ray


def _number(name: str, given: Mapping[str, str]) -> float:
  """Return how much of a resource a worker has."""
  text = given.get(name, _RESOURCES[name])
  try:
    number = float(text)
  except ValueError:
    number = math.nan
  if not 0 <= number < math.inf:
    raise engine.EngineError(
      f'--launch_option={name}={text}: must be 0 or more; nearest: '
      f'--launch_option={name}=1'
    )
  return number


def _environ(resources: Mapping[str, float]) -> dict[str, str]:
  """Return what workers add to their environment."""
  cores, gpus = resources['num_cpus'], resources['num_gpus']
  environ = {'JAX_NUM_CPU_DEVICES': str(max(int(cores), 1))}
  if not gpus:  # Ray hides none from who asked for none
    environ['JAX_PLATFORMS'] = 'cpu'
  elif gpus < 1:  # or the first would take all its memory
    environ['XLA_PYTHON_CLIENT_PREALLOCATE'] = 'false'
  passed = {
    name: value
    for name, value in os.environ.items()
    if name.startswith(_PASSED)
  }
  return {**environ, **passed}
