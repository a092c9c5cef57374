"""One training by two processes that `jax.distributed` joins: real ones."""

import pathlib
import signal
import socket

import pytest

from lstm_variants.training import agreement
from tests.faults import harness

_PATIENCE = 300
_CONFIG = """
from configs import base

def get_config():
  config = base.get_config()
  config.update_from_flattened_dict({
    'task.length': 8,
    'model.variant': 'simple_rnn',
    'model.hidden_features': 5,
    'model.recurrent_init': 'uniform',
    'training.batch_size': 4,
    'training.updates': 24,
    'training.evaluation_interval': 4,
    'training.evaluation_batches': 2,
    'training.save_interval': 4,
    'training.patience': 16,
    'training.stop_when_solved': False,
  })
  return config

def get_hyper(hyper):
  return hyper.sweep('config.seed', range(3))
"""


@pytest.fixture
def config(tmp_path) -> pathlib.Path:
  """The config of three runs, of which two devices get two each."""
  path = tmp_path / 'study.py'
  path.write_text(_CONFIG)
  return path


@pytest.fixture
def start(fork_server, config):
  """`start(workdir, *flags, falls=…)` starts two processes of one training."""

  def begin(workdir: pathlib.Path, *flags: str, falls: str = ''):
    with socket.socket() as free:
      free.bind(('127.0.0.1', 0))
      address = f'127.0.0.1:{free.getsockname()[1]}'
    return [
      fork_server.start(
        'sweep',
        f'--config={config}',
        f'--workdir={workdir}',
        '--import=tests.launch.falling',
        f'--coordinator_address={address}',
        '--num_processes=2',
        f'--process_id={number}',
        *flags,
        JAX_NUM_CPU_DEVICES='1',
        FALL=falls if number else '',
      )
      for number in range(2)
    ]

  return begin


def _ends(processes) -> list[dict]:
  return [process.wait(_PATIENCE) for process in processes]


def test_what_one_process_is_refused_ends_both_in_one_line(start, tmp_path):
  one, other = _ends(start(tmp_path / 'study', falls='import'))
  assert [one['status'], other['status']] == [2, 2]
  assert one['stderr'].startswith('error: process 1: --import=tests.launch.')
  assert one['stderr'].count('\n') == 1
  assert other['stderr'] == ''
  assert not (tmp_path / 'study').exists()


def test_two_processes_leave_what_one_does_whatever_ends_them(
  start, config, fork, tmp_path
):
  # SIGTERM to the second one: both save at the same update, and end alike.
  place = tmp_path / 'two'
  ends = _ends(start(place, falls=f'{signal.SIGTERM:d}@8'))
  assert [end['status'] for end in ends] == [143, 143]
  assert 'SIGTERM: saved' in ends[0]['stderr']
  (partial,) = (place / 'populations').glob('*.partial')
  assert max((partial / 'checkpoints').iterdir()).name[:9] == '000000008'
  # The second one is killed: the first one ends, and is to be started again.
  ends = _ends(start(place, '--resume', falls=f'{signal.SIGKILL:d}@16'))
  assert [end['status'] for end in ends] == [agreement.ABORTED, -signal.SIGKILL]
  assert 'going on after update 8' in ends[0]['stdout']
  # One process goes on with what two have saved.
  one = [f'--config={config}', '--import=tests.launch.falling']
  end = fork('sweep', *one, f'--workdir={place}', '--resume')
  assert 'going on after update 12' in end['stdout']
  alone = tmp_path / 'one'
  fork('sweep', *one, f'--workdir={alone}')
  assert harness.digest(place) == harness.digest(alone)
