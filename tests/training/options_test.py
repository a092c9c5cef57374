"""Schedules, accumulation, dropout and embeddings as runs train with them."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_variants import models
from lstm_variants.config import rules, settings
from lstm_variants.training import population, step

# Quicker to compile than an LSTM: nothing here depends on the cell.
CELL = {'model.variant': 'simple_rnn'}
SGD = {
  'optimizer.name': 'sgd',
  'optimizer.learning_rate': 0.1,
  'optimizer.clip_norm': float('inf'),
}
DROPOUT = {'model.num_layers': 2, 'model.dropout': 0.5}


@pytest.fixture
def build(make_config):
  return lambda changes: settings.from_config(make_config({**CELL, **changes}))


@functools.cache
def _programs(chosen: settings.Settings) -> Any:
  """Return the compiled beginning, update and evaluation of runs."""
  fast = {'xla_backend_optimization_level': 0}
  return tuple(
    jax.jit(functools.partial(function, chosen), compiler_options=fast)
    for function in (step.init_state, step.train_step, step.evaluate)
  )


def _updated(run: settings.Run, updates: int) -> list[step.State]:
  """Return the states after each update, the first one first."""
  init, update, _ = _programs(run.settings)
  states = [init(run.hyperparams)]
  for _ in range(updates):
    states.append(update(run.hyperparams, states[-1])[0])
  return states


def _assert_close(tree: Any, other: Any, **tolerances: Any) -> None:
  for a, b in zip(jax.tree.leaves(tree), jax.tree.leaves(other), strict=True):
    np.testing.assert_allclose(a, b, **tolerances)


def test_every_update_takes_the_rate_of_its_schedule(build):
  schedule = {
    'optimizer.schedule': 'linear',
    'optimizer.warmup_updates': 2,
    'optimizer.decay_updates': 2,
    'optimizer.final_factor': 0.5,
  }
  scheduled = build({**SGD, **schedule})
  constant = build(SGD)
  assert scheduled.settings.scheduled and not constant.settings.scheduled
  init, update, _ = _programs(constant.settings)
  state = init(constant.hyperparams)
  states = _updated(scheduled, 6)
  for number, rate in enumerate((0.05, 0.1, 0.1, 0.075, 0.05, 0.05), 1):
    hyperparams = constant.hyperparams.replace(learning_rate=rate)
    state, _ = update(hyperparams, state)
    _assert_close(states[number].params, state.params, atol=1e-7)


def test_lanes_of_one_program_have_schedules_of_their_own(build):
  numbers = (
    {'warmup_updates': 3, 'decay_updates': 2, 'final_factor': 0.5},
    {'warmup_updates': 0, 'decay_updates': 4, 'final_factor': 0.1},
  )
  runs = [
    build(
      {
        **{f'optimizer.{key}': value for key, value in of_run.items()},
        'optimizer.name': 'adamw',
        'optimizer.schedule': 'cosine',
        'optimizer.weight_decay': 0.1 * n,
        'seed': n,
      }
    )
    for n, of_run in enumerate(numbers)
  ]
  assert runs[0].settings == runs[1].settings
  static, stacked = population.stack([run.hyperparams for run in runs])

  def train(hyperparams):
    merged = population.merge(static, hyperparams)
    state = step.init_state(runs[0].settings, merged)
    return jax.lax.fori_loop(
      0,
      5,
      lambda _, state: step.train_step(runs[0].settings, merged, state)[0],
      state,
    )

  together, alone = jax.jit(jax.vmap(train))(stacked), jax.jit(train)
  for n, run in enumerate(runs):
    lane = jax.tree.map(lambda leaf, n=n: leaf[n], together.params)
    one = alone(jax.tree.map(lambda leaf, n=n: leaf[n], stacked))
    _assert_close(lane, one.params, atol=2e-5)
    # And the numbers of a lane are those of its run.
    for name, value in run.hyperparams.values.items():
      np.testing.assert_allclose(stacked.values[name][n], value, rtol=1e-6)


def _loss(run: settings.Run, params: Any, batch: Any) -> jax.Array:
  chosen = run.settings
  _, outputs = models.apply_model(
    params, chosen.architecture, run.hyperparams.toggles, batch.inputs
  )
  return chosen.task.loss(outputs, batch)


def test_two_batches_of_four_make_the_update_of_one_of_eight(build):
  run = build({**SGD, 'optimizer.accumulation': 2})
  assert run.settings.sequences_per_update == 8
  one_by_one = build(SGD)
  states = _updated(run, 2)
  task, key = run.settings.task, jax.random.key(run.hyperparams.seed)
  stream = jax.random.fold_in(key, step.DATA)
  gradient = jax.jit(jax.grad(lambda params, batch: _loss(run, params, batch)))
  for number in range(2):
    # The batches that a run without accumulation takes one after the other.
    batches = [
      task.sample(jax.random.fold_in(stream, 2 * number + part), 4)
      for part in range(2)
    ]
    whole = jax.tree.map(lambda *parts: jnp.concatenate(parts), *batches)
    before = states[number].params
    expected = jax.tree.map(
      lambda p, g: p - 0.1 * g, before, gradient(before, whole)
    )
    _assert_close(states[number + 1].params, expected, atol=1e-6)
  first = _updated(one_by_one, 1)
  _assert_close(first[0].params, states[0].params, atol=0)
  assert int(states[2].update) == 2


def test_the_losses_of_accumulated_batches_are_averaged_and_all_judged(build):
  judged = {'task.dialect': 'hs97', 'task.length': 12}
  run = build({**SGD, **judged, 'optimizer.accumulation': 2})
  alone = build({**SGD, **judged, 'optimizer.learning_rate': 1e-30})
  init, update, _ = _programs(run.settings)
  state, totals = update(run.hyperparams, init(run.hyperparams))
  other, losses = init(alone.hyperparams), []
  for _ in range(2):
    other, of_one = _programs(alone.settings)[1](alone.hyperparams, other)
    losses.append(of_one.loss)
  np.testing.assert_allclose(totals.loss, np.mean(losses), rtol=1e-6)
  assert np.isfinite(state.recent).sum() == 8
  np.testing.assert_allclose(state.recent, other.recent, rtol=1e-5)


def test_dropout_is_drawn_in_training_and_not_where_a_run_is_judged(build):
  run = build(DROPOUT)
  assert run.settings.dropped and not run.settings.noisy
  states = _updated(run, 2)
  again = _updated(run, 2)
  _assert_close(states[-1].params, again[-1].params, atol=0)
  plain = build({**DROPOUT, 'model.dropout': 0.0})
  off = run._replace(hyperparams=run.hyperparams.replace(dropout=0.0))
  _assert_close(_updated(off, 2)[-1].params, _updated(plain, 2)[-1].params)
  moved = [
    np.abs(a - b).max()
    for a, b in zip(
      jax.tree.leaves(states[-1].params),
      jax.tree.leaves(_updated(plain, 2)[-1].params),
      strict=True,
    )
  ]
  assert max(moved) > 1e-4
  _, metrics = _programs(run.settings)[2](run.hyperparams, states[0])
  _, expected = _programs(plain.settings)[2](plain.hyperparams, states[0])
  _assert_close(metrics, expected, atol=0)


def test_an_embedding_learns(build):
  run = build({'task.name': 'copy', 'model.embedding_features': 3})
  states = _updated(run, 2)
  before, after = (state.params['embedding'] for state in states[::2])
  assert before.shape == (run.settings.task.in_features, 3)
  assert np.abs(after - before).max() > 1e-4


@pytest.mark.parametrize(
  'changes, said',
  [
    (
      {'model.dropout': 0.5},
      'model.dropout=0.5: needs --config.model.num_layers of 2 or more',
    ),
    (
      {**DROPOUT, 'training.batch_devices': 2},
      'model.dropout=0.5: devices that share a batch would draw the same',
    ),
    (
      {**DROPOUT, 'optimizer.gradient_penalty': 1.0},
      'not together with model.dropout; nearest: 0',
    ),
    (
      {'model.embedding_features': 4},
      'model.embedding_features=4: the inputs of adding (urnn16) are numbers',
    ),
    (
      {'optimizer.schedule': 'cosine'},
      'optimizer.decay_updates=0: cosine needs the updates that it takes',
    ),
    (
      {'optimizer.decay_updates': 5},
      'optimizer.decay_updates=5: constant does not read it, those that do: '
      'linear, cosine, exponential; nearest: 0',
    ),
    (
      {'optimizer.schedule': 'cosin'},
      "optimizer.schedule='cosin': unknown; nearest: 'cosine'",
    ),
    (
      {'optimizer.weight_decay': 0.1},
      'optimizer.weight_decay=0.1: adam does not read it, those that do: '
      'adamw, lion, lamb',
    ),
    (
      {'optimizer.muon_momentum': 0.9},
      'optimizer.muon_momentum=0.9: adam does not read it, those that do: muon',
    ),
    (
      {'optimizer.accumulation': 0},
      'optimizer.accumulation=0: must be 1 to 1048576; nearest: 1',
    ),
  ],
)
def test_what_a_run_does_not_have_is_refused(build, changes, said):
  with pytest.raises(rules.InputError) as refusal:
    build(changes)
  assert said in str(refusal.value)
