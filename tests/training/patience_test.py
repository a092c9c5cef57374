"""When a population gives up, and that it does so after a resume too."""

import json
import pathlib

import numpy as np
import pytest

from lstm_variants.launch import local
from lstm_variants.runs import directory, results
from lstm_variants.training import loop, patience

NAN = float('nan')


@pytest.mark.parametrize(
  'losses, over',
  [
    # Of two runs, every 10 updates; the limit is 20.
    ([(5, 5), (4, 5), (4, 5)], False),
    ([(5, 5), (4, 5), (4, 5), (4, 5)], True),
    ([(5, 5), (4, 5), (4, 5), (4, 4.9)], False),
    ([(5, NAN), (5, NAN), (5, np.inf)], True),
    ([(NAN, NAN), (NAN, NAN), (NAN, NAN)], True),
    # Worse and back again is no better.
    ([(5, 5), (6, 6), (5, 5)], True),
  ],
)
def test_it_is_over_once_no_run_has_got_better_for_so_long(losses, over):
  now, never = patience.begin(20, 2), patience.begin(0, 2)
  for number, of_runs in enumerate(losses):
    assert not now.is_over
    now = patience.see(now, 10 * number, of_runs)
    never = patience.see(never, 10 * number, of_runs)
  assert now.is_over is over and not never.is_over


def test_what_was_written_down_tells_it(tmp_path):
  path, names = tmp_path / 'metrics.jsonl', ('one', 'two')
  losses = [(5, None), (4, 3), (4, 3.5)]
  rows = [
    {'run': name, 'update': 10 * number, 'loss': loss}
    for number, of_runs in enumerate(losses)
    for name, loss in zip(names, of_runs, strict=True)
  ]
  path.write_text(''.join(f'{json.dumps(row)}\n' for row in rows))
  now = patience.read(20, path, names)
  assert (now.update, now.improved, list(now.best)) == (20, 10, [4, 3])
  assert not patience.read(0, path, names).is_over


def _train(config, workdir: pathlib.Path, mode=directory.Mode.NEW) -> int:
  """Train one run, and return at which update it ended."""
  local.train(str(workdir), 'test', config, [local.check(config)], mode)
  (row,) = results.read_runs(str(workdir))
  return row['updates']


def test_a_run_that_gives_up_does_so_at_the_same_update_when_it_goes_on(
  make_config, tmp_path, monkeypatch
):
  # With no step to speak of the loss stays what it was at the beginning.
  changes = {
    'optimizer.name': 'sgd',
    'optimizer.learning_rate': 1e-30,
    'optimizer.accumulation': 2,
    'training.updates': 12,
    'training.evaluation_interval': 2,
    'training.save_interval': 2,
    'training.patience': 6,
  }
  config = make_config(changes)
  whole, parts = tmp_path / 'whole', tmp_path / 'parts'
  assert _train(config, whole) == 6
  (row,) = results.read_runs(str(whole))
  assert row['sequences'] == 6 * 2 * 4
  rows = results.read_metrics(str(whole))
  assert [row['sequences'] for row in rows] == [0, 16, 32, 48]

  class Cut(Exception):
    """The end of a session."""

  save = loop._Saver.save

  def save_and_end(saver, on_device):
    save(saver, on_device)
    raise Cut

  with monkeypatch.context() as patched, pytest.raises(Cut):
    patched.setattr(loop._Saver, 'save', save_and_end)
    _train(config, parts)
  assert _train(config, parts, directory.Mode.RESUME) == 6
  assert results.read_metrics(str(parts)) == rows
  # More patience, and it goes on; as much as before, and it is finished.
  longer = make_config({**changes, 'training.patience': 8})
  assert _train(longer, parts, directory.Mode.RESUME) == 8
  assert _train(longer, parts, directory.Mode.RESUME) == 8
