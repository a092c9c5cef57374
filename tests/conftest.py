"""Shared by all tests: two CPU devices, one compilation cache, the programs."""

import contextlib
import gc
import importlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

import jax
import pytest

from tests.commands import forks

REPOSITORY = pathlib.Path(__file__).parents[1]
_CACHE = 'JAX_COMPILATION_CACHE_DIR'
_SHORTEST = 'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS'

# XLA's older way of writing loops compiles in less than half of the time. A
# version that no longer knows a flag would end the process.
_FLAGS = (
  '--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1'
  if jax.__version__ == '0.10.2'
  else ''
)
# The environment of programs whose numbers no test looks at: those take this
# way too, and leave out most optimizations. All others compile as a user's.
QUICK = {'XLA_FLAGS': _FLAGS, 'JAX_DISABLE_MOST_OPTIMIZATIONS': '1'}

# Populations are to be spread over devices here too.
jax.config.update('jax_num_cpu_devices', 2)


def hear_signals() -> None:
  """Undo what a shell does to programs in the background, and nohup to others.

  They ignore SIGINT, or SIGHUP, and the programs under test would inherit that.
  """
  if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
  if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def compile_quickly() -> None:
  """Have XLA read the flags above, unless there are flags already.

  It reads them once; they are not left for the programs that are started.
  """
  if 'XLA_FLAGS' not in os.environ:
    os.environ['XLA_FLAGS'] = _FLAGS
    jax.jit(lambda: 0)().block_until_ready()
    del os.environ['XLA_FLAGS']


def pytest_configure(config: pytest.Config) -> None:
  """Let tests, workers and programs share what they compile in a session.

  Only XLA's output is shared: tracing, and whether something is compiled at
  all, is as it would be without.
  """
  # All that is imported and collected stays; see `pytest_collection_finish`.
  gc.disable()
  hear_signals()
  compile_quickly()
  if _CACHE not in os.environ:
    os.environ[_CACHE] = tempfile.mkdtemp(prefix='lstm_variants_tests_')
    os.environ[_SHORTEST] = '0'
    config.add_cleanup(_remove_cache)
  jax.config.update('jax_compilation_cache_dir', os.environ[_CACHE])
  jax.config.update(
    'jax_persistent_cache_min_compile_time_secs',
    float(os.environ.get(_SHORTEST, 1)),
  )


def _remove_cache() -> None:
  shutil.rmtree(os.environ.pop(_CACHE), ignore_errors=True)
  os.environ.pop(_SHORTEST)


# Files whose programs are small and run once: what XLA would make faster does
# not repay its time.
HASTY = (
  'tests/benchmarks_',
  'tests/bridges/',
  'tests/cells/',
  'tests/claims/',
  'tests/commands/',
  'tests/config/',
  'tests/docs_test.py',
  'tests/evidence/',
  'tests/launch/',
  'tests/models/',
  'tests/runs/',
  'tests/search/',
  'tests/tasks/',
  'tests/tour/',
  'tests/training/',
)


# Files with tests that take long each: they begin, so that no worker is left
# alone with one at the end.
LONG = (
  'tests/commands/train_test.py',
  'tests/docs_test.py',
  'tests/faults/',
  'tests/launch/',
  'tests/runs/formats_test.py',
  'tests/wheel_test.py',
)


def pytest_sessionstart(session: pytest.Session) -> None:
  """Have each worker import the tests from another file on.

  In a new clone each would else rewrite the asserts of all files beside the
  others, which write the same at the same time.
  """
  worker = getattr(session.config, 'workerinput', None)
  if not worker or session.config.args != session.config.getini('testpaths'):
    return
  paths = sorted(
    path.relative_to(REPOSITORY).with_suffix('')
    for place in session.config.args
    for path in (REPOSITORY / place).rglob('*_test.py')
  )
  number = int(worker['workerid'].removeprefix('gw'))
  first = number * len(paths) // worker['workercount']
  for path in paths[first:] + paths[:first]:
    # What fails is told where it is collected.
    with contextlib.suppress(Exception):
      importlib.import_module('.'.join(path.parts))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
  """Put the longest tests first; files stay together."""
  items.sort(key=lambda item: not item.nodeid.startswith(LONG))


def pytest_collection_finish() -> None:
  """Have the collector of garbage pass over all that was imported."""
  gc.collect()
  gc.freeze()
  gc.set_threshold(50_000, 20, 20)
  gc.enable()


def run_quickly(
  *command: str, timeout: float = 300
) -> subprocess.CompletedProcess:
  """Run a program whose numbers no test looks at."""
  return subprocess.run(
    command,
    cwd=REPOSITORY,
    env={**os.environ, **QUICK},
    capture_output=True,
    text=True,
    timeout=timeout,
  )


@pytest.fixture(scope='module', autouse=True)
def compile_hastily(request: pytest.FixtureRequest):
  """Leave out most optimizations in the files that are named above."""
  path = request.path.relative_to(request.config.rootpath).as_posix()
  jax.config.update('jax_disable_most_optimizations', path.startswith(HASTY))
  yield
  jax.config.update('jax_disable_most_optimizations', False)


@pytest.fixture(scope='module', autouse=True)
def forget(request: pytest.FixtureRequest):
  """Let go of the batches and programs that a file of tests keeps."""
  yield
  for value in vars(request.module).values():
    clear = getattr(value, 'cache_clear', None)
    if callable(clear):
      clear()
  jax.clear_caches()


class Finished(NamedTuple):
  """What a program left."""

  status: int
  stdout: str
  stderr: str
  seconds: float


@pytest.fixture(scope='session')
def run_command():
  """`run_command('train', '--workdir=…')` runs a program of `experiments`."""

  def run(name: str, *arguments: str, cwd=REPOSITORY, **environ) -> Finished:
    started = time.monotonic()
    done = subprocess.run(
      [sys.executable, '-m', f'experiments.{name}', *arguments],
      cwd=cwd,
      env={**os.environ, **environ},
      capture_output=True,
      text=True,
      timeout=120,
    )
    seconds = time.monotonic() - started
    return Finished(done.returncode, done.stdout, done.stderr, seconds)

  return run


@pytest.fixture(scope='session')
def fork_server():
  """Start what quick programs are forks of; ends with the session.

  Their numbers are those of a compiler in a hurry; see `QUICK`.
  """
  server = forks.Server(QUICK)
  yield server
  server.close()


@pytest.fixture(scope='session')
def fork(fork_server):
  """`fork('train', '--workdir=…')` runs a program in a fork, quickly."""
  return fork_server.run


@pytest.fixture
def series(tmp_path):
  """The fields of a task of a user's file, and what changes that file."""
  file = tmp_path / 'series.csv'
  file.write_text('level\n' + '1\n2\n4\n' * 9)
  fields = {
    'task.name': 'forecasting',
    'task.dialect': 'one_step',
    'task.length': 3,
    'task.path': str(file),
  }
  return fields, lambda: file.write_text('level\n' + '1\n2\n3\n5\n' * 9)


@pytest.fixture
def make_config():
  """`make_config({'seed': 1})`: a tiny run of the adding problem."""
  return tiny_config


def tiny_config(changes=None):
  """Return the config of a run that takes milliseconds, with changes."""
  from configs import base

  config = base.get_config()
  config.update_from_flattened_dict(
    {
      'task.length': 8,
      'model.hidden_features': 5,
      # Quicker to compile than orthogonal matrices.
      'model.recurrent_init': 'uniform',
      'training.batch_size': 4,
      'training.updates': 20,
      'training.evaluation_interval': 8,
      'training.evaluation_batches': 2,
      **(changes or {}),
    }
  )
  return config
