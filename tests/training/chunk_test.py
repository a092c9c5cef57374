"""Success between evaluations: found by the same rule, and in every program."""

import dataclasses
from typing import Any

import jax
import numpy as np
import pytest

from lstm_variants.config import settings as settings_lib
from lstm_variants.tasks import base
from lstm_variants.training import population, step

UPDATES, INTERVAL = 36, 3
CHUNKS = (18, 18)
SEEDS = range(3)
CHANGES = {
  # Quicker to compile than an LSTM: nothing here depends on the cell.
  'model.variant': 'simple_rnn',
  'optimizer.learning_rate': 3e-2,
  'task.length': 5,
  'training.evaluation_batches': 2,
}
# In turn; side by side; on devices that share their batches.
PROGRAMS = {
  'turns': {},
  'lanes': {'training.lanes': 4},
  'shared': {'training.batch_devices': 2, 'training.lanes': 4},
}


def _compile(interval=0, changes=None) -> population.Compiled:
  from tests import conftest

  values = {**CHANGES, 'training.success_interval': interval, **(changes or {})}
  runs = [
    settings_lib.from_config(conftest.tiny_config({**values, 'seed': seed}))
    for seed in SEEDS
  ]
  return population.compile_population(
    runs[0].settings, [run.hyperparams for run in runs]
  )


def _patch(monkeypatch, rule) -> None:
  """Have all runs be judged by a rule."""
  for name in ('task', 'held_out_task'):
    made: Any = getattr(settings_lib.Settings, name).fget
    judged = property(
      lambda self, made=made: dataclasses.replace(made(self), success=rule)
    )
    monkeypatch.setattr(settings_lib.Settings, name, judged)


@pytest.fixture(scope='module')
def seen() -> tuple[np.ndarray, np.ndarray]:
  """The loss of each batch and on the held-out set, `[updates, runs]` each."""
  compiled = _compile()
  state, batches, held_out = compiled.state, [], []
  for _ in range(UPDATES):
    state, record = compiled.advance(state, 1)
    batches.append(np.array(record['train_loss'])[: len(SEEDS)])
    held_out.append(np.array(record['loss'])[: len(SEEDS)])
  return np.array(batches), np.array(held_out)


def _expected(seen, below: float, chunks, together=False) -> list[int]:
  """Return when each run is solved, from the losses of every update.

  With `together`, which is wrong, the first two runs look where either does.
  """
  batches, held_out = seen
  solved = []
  for run in range(len(SEEDS)):
    askers = (0, 1) if together and run < 2 else (run,)
    looked = [
      update
      for update in range(1, UPDATES + 1)
      if update in np.cumsum(chunks)
      or update % INTERVAL == 0
      and any(
        np.mean(batches[update - INTERVAL : update, asker]) < below
        for asker in askers
      )
    ]
    met = [update for update in looked if held_out[update - 1, run] < below]
    solved.append(met[0] if met else -1)
  return solved


def _limit(seen) -> float:
  """Return a limit that runs get below between evaluations.

  And at which a run that saw what its neighbour asked for would be seen to.
  """
  candidates = np.unique(seen[1]) * 1.001
  return next(
    float(below)
    for below in candidates
    if _expected(seen, below, CHUNKS) != _expected(seen, below, CHUNKS, True)
  )


@pytest.mark.parametrize('program', PROGRAMS)
def test_success_is_found_between_evaluations_as_a_loop_over_updates_finds_it(
  program, seen, monkeypatch
):
  below = _limit(seen)
  _patch(monkeypatch, base.HeldOut('loss', below))
  compiled = _compile(INTERVAL, PROGRAMS[program])
  state, record = compiled.state, {}
  for chunk in CHUNKS:
    state, record = compiled.advance(state, chunk)
  solved = np.array(state.solved_at)[: len(SEEDS)].tolist()
  expected = _expected(seen, below, CHUNKS)
  assert solved == expected
  # Which says something: some are not found at an evaluation.
  assert any(update > 0 and update % 18 for update in solved)
  np.testing.assert_allclose(
    np.array(record['loss'])[: len(SEEDS)], seen[1][-1], rtol=1e-3
  )


def test_looking_changes_nothing_that_is_trained(seen, monkeypatch):
  found = []
  for interval in (0, INTERVAL):
    with monkeypatch.context() as patched:
      _patch(patched, base.HeldOut('loss', _limit(seen)))
      compiled = _compile(interval)
      state, record = compiled.advance(compiled.state, 0)
      state, record = compiled.advance(state, UPDATES)
      found.append(jax.tree.map(np.array, (state, record)))
  (one, before), (two, after) = found
  assert np.all(two.update == UPDATES)
  for a, b in zip(
    jax.tree.leaves((one.params, one.opt_state, before)),
    jax.tree.leaves((two.params, two.opt_state, after)),
    strict=True,
  ):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
  # It is found no later than at the end, and never where the rule is not met.
  assert np.all((two.solved_at <= one.solved_at) | (one.solved_at < 0))


def test_how_a_run_is_cut_into_chunks_does_not_matter(seen, monkeypatch):
  _patch(monkeypatch, base.HeldOut('loss', _limit(seen)))
  compiled = _compile(INTERVAL)
  first = jax.tree.map(np.array, compiled.state)
  sharding = jax.tree.leaves(compiled.state)[0].sharding
  ends = []
  for chunks in ((18, 18), (9, 9, 18)):
    state, record = jax.device_put(first, sharding), {}
    for chunk in chunks:
      state, record = compiled.advance(state, chunk)
    ends.append(
      jax.tree.map(np.array, (state._replace(solved_at=None), record))
    )
  one, two = (jax.tree.leaves(end[0]) for end in ends)
  assert all(a.tobytes() == b.tobytes() for a, b in zip(one, two, strict=True))


def test_a_diverged_run_asks_for_nothing(monkeypatch):
  _patch(monkeypatch, base.HeldOut('loss', 1e9))
  compiled = _compile(INTERVAL)
  gone = compiled.state._replace(
    diverged_at=jax.numpy.ones_like(compiled.state.diverged_at)
  )
  state, _ = compiled.advance(compiled.place(_cut(gone)), 5)
  assert np.all(np.array(state.solved_at) == -1)


def _cut(state: step.State) -> step.State:
  """Return a state on the host, without its padding."""
  return jax.tree.map(lambda leaf: np.array(leaf)[: len(SEEDS)], state)


def test_only_a_rule_on_held_out_data_is_watched(make_config):
  def watched(changes) -> bool:
    return step.is_watched(
      settings_lib.from_config(make_config(changes)).settings
    )

  judged = {'task.name': 'copy', 'task.dialect': 'urnn16'}
  assert watched({**judged, 'training.success_interval': 5})
  assert not watched(judged)
  stream = {'task.name': 'adding', 'task.dialect': 'hs97', 'task.length': 11}
  assert not watched({**stream, 'training.success_interval': 5})
