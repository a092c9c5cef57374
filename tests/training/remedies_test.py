"""Remedies and other cells in training: what is drawn, and that it learns."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_variants import cells, models
from lstm_variants.cells import layout
from lstm_variants.config import settings
from lstm_variants.training import population, step

SMALL = {
  'task.length': 8,
  'model.hidden_features': 8,
  'training.batch_size': 4,
  'training.evaluation_batches': 2,
}
# One of each kind; the cells have tests of their own.
TRAINED = ('lstm_1997', 'slstm', 'gru', 'minlstm', 'clockwork', 'echo_state')
RATES = {
  'model.zoneout_c': 0.5,
  'model.zoneout_h': 0.2,
  'model.recurrent_dropout': 0.3,
}


@pytest.fixture
def build(make_config):
  return lambda changes: settings.from_config(make_config({**SMALL, **changes}))


@functools.cache
def _programs(chosen: settings.Settings) -> Any:
  """Return the compiled beginning, update and evaluation of runs."""
  fast = {'xla_backend_optimization_level': 0}
  return tuple(
    jax.jit(functools.partial(function, chosen), compiler_options=fast)
    for function in (step.init_state, step.train_step, step.evaluate)
  )


def _train(run: settings.Run, updates: int = 1) -> tuple[Any, Any]:
  """Return the state after some updates, and the metrics."""
  init, update, evaluate = _programs(run.settings)
  state = init(run.hyperparams)
  for _ in range(updates):
    state, _ = update(run.hyperparams, state)
  return evaluate(run.hyperparams, state)


def _same(left: Any, right: Any) -> bool:
  pairs = zip(*(jax.tree.leaves(s.params) for s in (left, right)), strict=True)
  return all(np.array_equal(a, b) for a, b in pairs)


@pytest.mark.parametrize('rate', RATES)
def test_what_is_left_out_follows_from_seed_and_update(build, rate):
  run = build({rate: RATES[rate]})
  assert run.settings.noisy
  state, metrics = _train(run)
  again, others = _train(run)
  assert _same(state, again) and metrics == others
  # Of the rates only that one is at work.
  quiet, _ = _train(
    run._replace(
      hyperparams=run.hyperparams.replace(**{rate.split('.')[1]: 0.0})
    )
  )
  assert not _same(state, quiet)
  plain, _ = _train(build({}))
  for a, b in zip(*map(jax.tree.leaves, (quiet, plain)), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_nothing_is_drawn_where_a_run_is_judged(build):
  run = build(RATES)
  init, _, evaluate = _programs(run.settings)
  state = init(run.hyperparams)
  _, first = evaluate(run.hyperparams, state)
  _, later = evaluate(run.hyperparams, state._replace(update=np.int32(7)))
  assert first == later


def test_rates_may_differ_within_a_population(build):
  runs = [build({**RATES, 'model.zoneout_h': rate}) for rate in (0.1, 0.4)]
  assert runs[0].settings == runs[1].settings
  static, stacked = population.stack([run.hyperparams for run in runs])
  merged = population.merge(static, stacked)
  np.testing.assert_allclose(merged.zoneout_h, [0.1, 0.4])
  chunk = jax.jit(
    jax.vmap(
      lambda hyperparams, state: step.train_step(
        runs[0].settings, population.merge(static, hyperparams), state
      )[0]
    )
  )
  init = jax.vmap(
    lambda hyperparams: step.init_state(
      runs[0].settings, population.merge(static, hyperparams)
    )
  )
  together = chunk(stacked, init(stacked))
  for n, run in enumerate(runs):
    init_one, update, _ = _programs(run.settings)
    alone, _ = update(run.hyperparams, init_one(run.hyperparams))
    own = layout.prune(alone.params, run.hyperparams.toggles)
    for a, b in zip(*map(jax.tree.leaves, (together.params, own)), strict=True):
      np.testing.assert_allclose(a[n], b, atol=2e-5)


@pytest.mark.parametrize(
  'changes',
  [
    *({'model.variant': name} for name in TRAINED),
    {'model.recurrence': 'diagonal', 'model.variant': 'fgr'},
    {'model.layer_norm': True, 'model.num_layers': 2, 'model.residual': True},
    {'model.bidirectional': True, 'model.learned_carry': True},
  ],
  ids=str,
)
def test_every_model_trains_all_of_it_that_is_used(build, changes):
  cell = cells.CELLS.get(changes.get('model.variant', ''))
  if cell and cell.initial:  # it refuses another beginning
    changes = {**changes, 'model.recurrent_init': 'orthogonal'}
  # Graded at every step, for what runs backwards too.
  run = build({**changes, 'task.name': 'copy', 'task.length': 2})
  init, update, _ = _programs(run.settings)
  before = init(run.hyperparams)
  after, totals = update(run.hyperparams, before)
  assert after.diverged_at < 0 and np.isfinite(totals.loss)
  moved = sum(
    int(np.count_nonzero(np.asarray(a) != np.asarray(b)))
    for a, b in zip(
      *map(jax.tree.leaves, (before.params, after.params)), strict=True
    )
  )
  architecture, toggles = run.settings.architecture, run.hyperparams.toggles
  count = models.count_params(architecture, toggles)
  assert 0 < moved <= count
  if changes.get('model.variant') not in RESTING:
    assert moved > 0.8 * count


# Their rectified units may rest, their input bias may have no effect.
RESTING = ('irnn', 'indrnn', 'echo_state')


def test_every_update_seed_and_stream_draws_anew(build):
  run = build({'model.zoneout_h': 0.2})
  drawn = [
    jax.random.key_data(
      step._key(
        run.hyperparams.replace(seed=np.uint32(seed)), stream, jnp.int32(update)
      )
    ).tolist()
    for seed in (0, 1)
    for update in (0, 1, 2)
    for stream in (step.DATA, step.NOISE, step.INPUT_NOISE, step.DROPOUT)
  ]
  assert len({tuple(key) for key in drawn}) == 24
