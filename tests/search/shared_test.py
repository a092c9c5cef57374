"""A search that several processes train, one of which is killed."""

import json
import os
import pathlib
import signal
import time
from typing import Any

import pytest

from lstm_variants.runs import results
from tests import conftest
from tests.commands import forks

# A generation is two populations; a second one may be in training beside it.
CONFIG = """
import lstm_variants as lv

def get_config():
  config = lv.default_config()
  config.update_from_flattened_dict({
    'task.length': 8,
    'model.hidden_features': 5,
    'model.recurrent_init': 'uniform',
    'training.batch_size': 4,
    'training.updates': 16,
    'training.evaluation_interval': 8,
    'training.evaluation_batches': 2,
    'training.stop_when_solved': False,
    'study.population_size': 2,
  })
  return config

def get_search(search):
  return search.space(
    {
      'config.optimizer.learning_rate': search.log_uniform(1e-3, 1e-1),
      'config.model.forget_bias': search.uniform(0.0, 2.0),
    },
    trials=20,
    batch=4,
    ahead=1,
  )
"""


@pytest.fixture(scope='module')
def server():
  server = forks.Server(conftest.QUICK)
  yield server
  server.close()


def _left(workdir: pathlib.Path) -> dict[str, Any]:
  """Return what a search left, without times and without who trained it."""
  study = json.loads((workdir / 'study.json').read_text())
  left: dict[str, Any] = {'runs': study['runs'], 'parts': study['parts']}
  for path in sorted((workdir / 'generations').iterdir()):
    left[path.name] = path.read_bytes()
  for folder in sorted((workdir / 'populations').iterdir()):
    left[folder.name] = (folder / 'metrics.jsonl').read_bytes()
    arrays = results.read_params(str(workdir), folder.name)
    left[f'{folder.name} params'] = {k: v.tobytes() for k, v in arrays.items()}
  return left


def test_two_processes_ask_for_and_train_the_same_though_one_is_killed(
  server, tmp_path
):
  config = tmp_path / 'tiny.py'
  config.write_text(CONFIG)
  flags = 'search', f'--config={config}'
  alone = server.run(*flags, f'--workdir={tmp_path / "alone"}')
  assert alone['status'] == 0, alone

  def start():
    return server.start(*flags, f'--workdir={tmp_path / "s"}', '--share')

  workers = [start(), start()]
  second = tmp_path / 's/generations/0001.json'
  while not second.exists():
    time.sleep(0.01)
  os.kill(workers[0].pid, signal.SIGKILL)
  workers[0].wait(60)
  workers[0] = start()
  for worker in workers:
    done = worker.wait(300)
    assert done['status'] == 0, done
  assert _left(tmp_path / 's') == _left(tmp_path / 'alone')
