"""Variables and limits that libraries cannot follow: a line, no traceback."""

import errno
import os
import pathlib
import subprocess
import sys

import jax
import pytest

from lstm_variants.commands import environment
from lstm_variants.training import backend
from tests import conftest

TRAIN = ('train', '--config=adding', '--workdir=STUDY')
COMPARE = ('compare', '--workdir=STUDY')


def _start(folder: pathlib.Path, words, limit: str = 'unlimited', **environ):
  """Start a program in a shell with a limit of addresses."""
  arguments = [word.replace('STUDY', str(folder / 's')) for word in words]
  return subprocess.run(
    [
      *('bash', '-c', f'ulimit -v {limit}; exec "$0" -m lstm_variants "$@"'),
      *(sys.executable, *arguments),
    ],
    cwd=conftest.REPOSITORY,
    env={**os.environ, **environ},
    capture_output=True,
    text=True,
  )


@pytest.mark.parametrize(
  'words, name, value, nearest',
  [
    (TRAIN, 'JAX_PLATFORMS', 'cuda', 'JAX_PLATFORMS=cpu'),
    (TRAIN, 'JAX_ENABLE_X64', 'maybe', 'unset JAX_ENABLE_X64'),
    (TRAIN, 'JAX_NUM_CPU_DEVICES', '0', 'JAX_NUM_CPU_DEVICES=1'),
    (TRAIN, 'PYTHONWARNINGS', 'error', 'unset PYTHONWARNINGS'),
  ],
)
def test_a_variable_that_jax_cannot_follow_is_named(
  tmp_path, words, name, value, nearest
):
  done = _start(tmp_path, words, **{name: value})
  assert done.returncode == 2 and done.stderr.count('\n') == 1, done.stderr
  assert done.stderr.startswith(f'error: {name}={value}: ')
  assert done.stderr.endswith(f'; nearest: {nearest}\n')
  assert not (tmp_path / 's').exists()


@pytest.mark.parametrize('code', [errno.EIO, errno.ESTALE, errno.ETIMEDOUT])
def test_a_file_system_that_does_not_answer_is_told_in_a_line(code):
  error = OSError(code, os.strerror(code), 'runs/one/populations')
  refused = environment.refusal(error)
  assert refused and refused.exit_status == 6
  assert str(refused).startswith(f'runs/one/populations: {os.strerror(code)}: ')
  for ours in FileNotFoundError(2, 'No such file', 'x'), OSError(code, 'x'):
    assert environment.refusal(ours) is None


def test_settings_of_figures_are_not_waited_for(tmp_path, monkeypatch):
  pipe = tmp_path / 'matplotlibrc'
  os.mkfifo(pipe)
  for named in (pipe, tmp_path):
    monkeypatch.setenv('MATPLOTLIBRC', str(named))
    with pytest.raises(environment.RefusedError) as refused:
      environment.prepare('train')
    assert str(refused.value) == (
      f'MATPLOTLIBRC={named}: is a pipe, not a regular file; nearest: unset '
      'MATPLOTLIBRC'
    )
  for named in (os.devnull, tmp_path / 'none'):
    monkeypatch.setenv('MATPLOTLIBRC', str(named))
    environment.prepare('train')


@pytest.mark.parametrize(
  'name, given, wanted',
  [('analyse', '', '1'), ('analyse', '3', '3'), ('train', '', 'none')],
)
def test_small_matrices_are_for_one_thread_told_before_numpy_is_there(
  name, given, wanted
):
  code = (
    'import os, sys; from lstm_variants import __main__; '
    'from lstm_variants.commands import environment as e; '
    f'e.prepare({name!r}); assert "numpy" not in sys.modules; '
    'print(os.environ.get("OPENBLAS_NUM_THREADS", "none"))'
  )
  environ = {k: v for k, v in os.environ.items() if 'OPENBLAS' not in k}
  if given:
    environ['OPENBLAS_NUM_THREADS'] = given
  words = [sys.executable, '-c', code]
  done = subprocess.run(words, env=environ, capture_output=True, text=True)
  assert done.stdout == f'{wanted}\n', done.stderr


def test_figures_are_drawn_into_files_whatever_windows_are_asked_for(tmp_path):
  done = _start(tmp_path, COMPARE, MPLBACKEND='nonsense')
  assert done.returncode == 2 and 'holds no study' in done.stderr, done.stderr
  assert done.stderr.count('\n') == 1


def test_a_limit_of_addresses_is_named_before_the_system_ends_the_program(
  tmp_path, monkeypatch
):
  done = _start(tmp_path, TRAIN, '500000')
  assert done.returncode == 2 and done.stderr.count('\n') == 1, done.stderr
  assert done.stderr.startswith('error: ulimit -v 500000: ')
  # More than Python takes, less than XLA and its threads.
  monkeypatch.setattr(backend.memory, 'address_limit', lambda: 10**9)
  with pytest.raises(backend.BackendError, match='ulimit -v 976562: XLA takes'):
    backend.check()


@pytest.mark.parametrize(
  'mode, given',
  [
    (jax.disable_jit, 'JAX_DISABLE_JIT=1'),
    (lambda: jax.debug_nans(True), 'JAX_DEBUG_NANS=1'),
    (lambda: jax.debug_infs(True), 'JAX_DEBUG_INFS=1'),
    (
      lambda: jax.numpy_dtype_promotion('strict'),
      'JAX_NUMPY_DTYPE_PROMOTION=strict',
    ),
    (
      lambda: jax.numpy_rank_promotion('raise'),
      'JAX_NUMPY_RANK_PROMOTION=raise',
    ),
    (lambda: jax.transfer_guard('disallow'), 'JAX_TRANSFER_GUARD=disallow'),
  ],
)
def test_a_mode_in_which_no_population_trains_is_refused(mode, given):
  with mode(), pytest.raises(backend.BackendError) as caught:
    backend.check()
  name = given.partition('=')[0]
  assert f'{given}: ' in str(caught.value)
  assert str(caught.value).endswith(f'nearest: unset {name}')
