"""One update: optimizers, data, rules of success, divergence."""

import dataclasses
import functools
import types
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_variants as lv
from lstm_variants import models
from lstm_variants.config import settings as settings_lib
from lstm_variants.tasks import base
from lstm_variants.training import step
from lstm_variants.training import success as success_lib

BATCH = 4


@pytest.fixture
def build(make_config):
  def build(changes=None):
    # Quicker to compile than an LSTM.
    cell = {'model.variant': 'simple_rnn'}
    return settings_lib.from_config(make_config({**cell, **(changes or {})}))

  return build


@functools.cache
def _jitted(function, settings, success):
  """Compile a function of a run; `success` tells patched tasks apart."""
  del success
  # Seconds of optimization would save milliseconds here.
  return jax.jit(
    functools.partial(function, settings),
    compiler_options={'xla_backend_optimization_level': 0},
  )


def _init(run) -> step.State:
  init = _jitted(step.init_state, run.settings, str(run.settings.task.success))
  return init(run.hyperparams)


def _train(run, updates) -> tuple[list[Any], list[Any]]:
  """Return the states after every update, the initial one first; the totals."""
  advance = _jitted(
    step.train_step, run.settings, str(run.settings.task.success)
  )
  states, totals = [_init(run)], []
  for _ in range(updates):
    state, total = advance(run.hyperparams, states[-1])
    states.append(state)
    totals.append(total)
  return states, totals


def _equal(tree, other) -> bool:
  return all(
    np.array_equal(a, b)
    for a, b in zip(jax.tree.leaves(tree), jax.tree.leaves(other), strict=True)
  )


# Optimizers, written from their papers in float64.


def _clip(grads, norm, value):
  total = np.sqrt(sum(np.sum(g**2) for g in grads))
  if total > norm:
    grads = [g * norm / total for g in grads]
  return [np.clip(g, -value, value) for g in grads]


def _adam(params, grads, memory, rate, *, b1, b2, eps, **unused):
  memory.setdefault('m', [0.0 for _ in params])
  memory.setdefault('v', [0.0 for _ in params])
  memory['t'] = t = memory.get('t', 0) + 1
  new = []
  for k, (p, g) in enumerate(zip(params, grads, strict=True)):
    memory['m'][k] = b1 * memory['m'][k] + (1 - b1) * g
    memory['v'][k] = b2 * memory['v'][k] + (1 - b2) * g**2
    m_hat = memory['m'][k] / (1 - b1**t)
    v_hat = memory['v'][k] / (1 - b2**t)
    new.append(p - rate * m_hat / (np.sqrt(v_hat) + eps))
  return new


def _rmsprop(params, grads, memory, rate, *, b2, eps, momentum, **unused):
  memory.setdefault('v', [0.0 for _ in params])
  memory.setdefault('u', [0.0 for _ in params])
  new = []
  for k, (p, g) in enumerate(zip(params, grads, strict=True)):
    memory['v'][k] = b2 * memory['v'][k] + (1 - b2) * g**2
    scaled = rate * g / np.sqrt(memory['v'][k] + eps)
    memory['u'][k] = momentum * memory['u'][k] + scaled
    new.append(p - memory['u'][k])
  return new


def _sgd(params, grads, memory, rate, *, momentum, nesterov, **unused):
  memory.setdefault('u', [0.0 for _ in params])
  new = []
  for k, (p, g) in enumerate(zip(params, grads, strict=True)):
    memory['u'][k] = momentum * memory['u'][k] + g
    direction = g + momentum * memory['u'][k] if nesterov else memory['u'][k]
    new.append(p - rate * direction)
  return new


@pytest.mark.parametrize(
  'name, changes, update',
  [
    ('adam', {'b1': 0.8, 'b2': 0.95, 'eps': 0.01}, _adam),
    ('rmsprop', {'b2': 0.7, 'eps': 0.01}, _rmsprop),
    ('rmsprop', {'b2': 0.7, 'eps': 0.01, 'momentum': 0.7}, _rmsprop),
    ('sgd', {}, _sgd),
    ('sgd', {'momentum': 0.9}, _sgd),
    ('sgd', {'momentum': 0.9, 'nesterov': True}, _sgd),
  ],
)
@pytest.mark.parametrize(
  'norm, value', [(np.inf, np.inf), (2.0, np.inf), (2.0, 0.9), (np.inf, 0.5)]
)
def test_an_optimizer_equals_its_paper_with_clipping_by_norm_then_value(
  build, name, changes, update, norm, value
):
  run = build(
    {
      'optimizer.name': name,
      'optimizer.learning_rate': 0.1,
      'optimizer.clip_norm': norm,
      'optimizer.clip_value': value,
      **{f'optimizer.{key}': item for key, item in changes.items()},
    }
  )
  knobs = {**run.settings.values, **run.hyperparams.values}
  names = ('b1', 'b2', 'eps', 'momentum', 'nesterov')
  knobs = {name: knobs[f'optimizer.{name}'] for name in names}
  generator = np.random.default_rng(0)
  with jax.enable_x64(True):
    expected = [generator.normal(size=3), generator.normal(size=(2, 2))]
    params: Any = [jnp.asarray(p) for p in expected]
    optimizer = step.make_optimizer(run.settings, run.hyperparams)
    state, memory = optimizer.init(params), {}
    # Some of the gradients are below the thresholds, some above.
    for scale in (0.1, 1.0, 3.0, 0.01, 10.0):
      grads = [scale * generator.normal(size=p.shape) for p in expected]
      updates: Any = None
      updates, state = optimizer.update(
        [jnp.asarray(g) for g in grads], state, params
      )
      params = [p + c for p, c in zip(params, updates, strict=True)]  # pyrefly: ignore[bad-argument-type]
      clipped = _clip(grads, norm, value)
      expected = update(expected, clipped, memory, 0.1, **knobs)
      for got, want in zip(params, expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-7)


def _capture_batches(run, updates, monkeypatch):
  """Return the batches of some updates of a run, without training it."""
  seen, original = [], run.settings.task

  def sample(key, size):
    seen.append(original.sample(key, size))
    raise _Seen

  task = dataclasses.replace(original, sample=sample)
  never = jnp.int32(-1)
  with monkeypatch.context() as patch:
    patch.setattr(settings_lib.Settings, 'task', task)
    for update in updates:
      state = step.State({}, (), jnp.int32(update), None, never, never)
      with pytest.raises(_Seen):
        step.train_step(run.settings, run.hyperparams, state)
  return seen


class _Seen(Exception):
  pass


def test_a_batch_is_a_pure_function_of_seed_and_update(build, monkeypatch):
  def inputs(changes):
    batches = _capture_batches(build(changes), (0, 1, 2), monkeypatch)
    return [np.asarray(batch.inputs) for batch in batches]

  first = inputs({'seed': 3})
  again = inputs(
    {
      'seed': 3,
      'model.variant': 'fgr',
      'optimizer.learning_rate': 0.5,
      'training.evaluation_seed': 9,
      'model.hidden_features': 7,
    }
  )
  other = inputs({'seed': 4})
  for a, b, c in zip(first, again, other, strict=True):
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)
  assert len({batch.tobytes() for batch in (*first, *other)}) == 6


def _held_out(run, monkeypatch):
  """Return the inputs of the held-out set, without a model on them."""
  seen, original, never = [], run.settings.held_out_task, jnp.int32(-1)

  def sample(key, size):
    batch = original.sample(key, size)
    jax.debug.callback(lambda x: seen.append(np.asarray(x)), batch.inputs)
    return batch

  task = dataclasses.replace(
    original,
    sample=sample,
    measure=lambda *unused: {'loss': base.Mean(jnp.zeros(()), jnp.ones(()))},
  )
  state = step.State({}, (), jnp.int32(0), None, never, never)
  with monkeypatch.context() as patch:
    patch.setattr(settings_lib.Settings, 'held_out_task', task)
    patch.setattr(step, '_outputs', lambda *unused: None)
    step.evaluate(run.settings, run.hyperparams, state)
    jax.effects_barrier()
  return sorted(seen, key=lambda inputs: inputs.tobytes())


def test_noise_is_added_to_the_inputs_of_training_alone(build):
  run, clean = build({'training.input_noise': 0.3}), build()
  states, totals = _train(run, 2)
  for update, total in enumerate(totals):
    key = jax.random.fold_in(jax.random.key(0), step.DATA)
    batch = run.settings.task.sample(
      jax.random.fold_in(key, update), run.settings.batch_size
    )
    key = jax.random.fold_in(jax.random.key(0), step.INPUT_NOISE)
    noise = jax.random.normal(
      jax.random.fold_in(key, update), batch.inputs.shape
    )
    _, outputs = models.apply_model(
      states[update].params,
      run.settings.architecture,
      run.hyperparams.toggles,
      batch.inputs + 0.3 * noise,
    )
    wanted = run.settings.task.loss(outputs, batch)
    np.testing.assert_allclose(total.loss, wanted, rtol=1e-5)
  judged = [
    step.evaluate(one.settings, one.hyperparams, states[-1])[1]
    for one in (run, clean)
  ]
  assert _equal(*judged)


def test_the_held_out_set_is_the_same_for_all_runs_and_not_trained_on(
  build, monkeypatch
):
  one = _held_out(build({'training.evaluation_batches': 3}), monkeypatch)
  assert len(one) == 3 and len({x.tobytes() for x in one}) == 3
  changes = {'training.evaluation_batches': 3, 'seed': 5}
  two = _held_out(build({**changes, 'model.variant': 'fgr'}), monkeypatch)
  assert _equal(one, two)
  changes = {'training.evaluation_batches': 3, 'training.evaluation_seed': 1}
  three = _held_out(build(changes), monkeypatch)
  assert not {x.tobytes() for x in one} & {x.tobytes() for x in three}
  # Seed 0 too, which is the seed of the held-out set.
  trained = {
    np.asarray(batch.inputs).tobytes()
    for seed in (0, 5)
    for batch in _capture_batches(build({'seed': seed}), range(5), monkeypatch)
  }
  assert not trained & {x.tobytes() for x in one}


def test_held_out_metrics_are_those_of_one_large_batch(build, monkeypatch):
  run = build({'training.evaluation_batches': 3})
  state = _init(run)
  _, metrics = _jitted(step.evaluate, run.settings, '')(run.hyperparams, state)
  inputs = np.concatenate(_held_out(run, monkeypatch))
  values, markers = inputs[..., 0], inputs[..., 1]
  outputs = step._outputs(
    run.settings,
    run.hyperparams,
    state.params,
    base.Batch(jnp.asarray(inputs), jnp.zeros(()), jnp.zeros(())),
    None,
  )
  errors = np.asarray(outputs)[:, -1, 0] - np.sum(values * markers, axis=1)
  np.testing.assert_allclose(metrics['loss'], np.mean(errors**2), rtol=1e-5)
  wrong = np.mean(np.abs(errors) >= 0.04)
  np.testing.assert_allclose(metrics['wrong'], wrong, rtol=1e-5)


# Success.


def _solved_at(errors, success):
  """Feed errors, `[updates, batch]`, to the rule; return when it is met."""

  def body(carry, batch_of_errors):
    recent, solved_at, update = carry
    recent, update = success_lib.push(recent, batch_of_errors), update + 1
    met = success_lib.is_met(task, recent)
    return (recent, success_lib.first(solved_at, met, update), update), None

  task: Any = types.SimpleNamespace(success=success)
  start = (jnp.full((success.window,), jnp.inf), jnp.int32(-1), jnp.int32(0))
  (_, solved_at, _), _ = jax.lax.scan(
    body, start, jnp.asarray(errors, jnp.float32)
  )
  return int(solved_at)


def _expected_solved_at(errors, success):
  """The rule of 1997 by a plain loop over the stream."""
  stream = []
  for update, batch in enumerate(np.asarray(errors, np.float32), start=1):
    stream.extend(batch)
    last = np.asarray(stream[-success.window :])
    if (
      len(last) == success.window
      and np.sum(last >= success.tolerance) <= success.allowed
      and np.mean(last, dtype=np.float64) < success.mean
    ):
      return update
  return -1


RULE_OF_1997 = base.LastSequences(window=2000, tolerance=0.04, mean=0.01)


def test_the_rule_of_1997_needs_all_of_the_last_2000_sequences():
  good = np.full((500, BATCH), 0.005)
  assert _solved_at(good, RULE_OF_1997) == 500  # 2,000 sequences, not updates
  assert _solved_at(good[:499], RULE_OF_1997) == -1
  for place in (0, 1000, 1999):
    spoilt = good.copy().reshape(-1)
    spoilt[place] = 0.05
    assert _solved_at(spoilt.reshape(-1, BATCH), RULE_OF_1997) == -1
  # The bad one leaves the window with the next batch.
  spoilt = np.concatenate((good, good[:1]))
  spoilt[0, 3] = 0.05
  assert _solved_at(spoilt, RULE_OF_1997) == 501


def test_the_rule_of_1997_needs_a_small_mean_too():
  assert _solved_at(np.full((600, BATCH), 0.011), RULE_OF_1997) == -1
  assert _solved_at(np.full((600, BATCH), 0.0099), RULE_OF_1997) == 500


def test_neither_the_tolerance_nor_the_bound_of_the_mean_is_met_by_equality():
  errors = np.full((500, BATCH), 0.001)
  errors[7, 0] = np.float32(0.04)
  assert _solved_at(errors, RULE_OF_1997) == -1
  errors[7, 0] = 0.0399
  assert _solved_at(errors, RULE_OF_1997) == 500
  # Numbers that have an exact mean.
  success = base.LastSequences(window=8, tolerance=1.0, mean=0.25)
  assert _solved_at(np.full((2, BATCH), 0.25), success) == -1
  assert _solved_at(np.full((2, BATCH), 0.125), success) == 2


def test_a_window_that_is_no_multiple_of_the_batch_counts_sequences():
  success = base.LastSequences(window=6, tolerance=1.0, mean=1.0)
  errors = np.zeros((3, BATCH))
  assert _solved_at(errors, success) == 2
  errors[0] = (9, 9, 0, 0)
  assert _solved_at(errors, success) == 2
  errors[0] = (9, 9, 9, 0)
  assert _solved_at(errors, success) == 3


def test_a_window_smaller_than_the_batch_sees_its_last_sequences():
  success = base.LastSequences(window=2, tolerance=1.0, mean=1.0)
  assert _solved_at([(9, 9, 0, 0)], success) == 1
  assert _solved_at([(0, 0, 9, 0)], success) == -1


def test_some_misses_may_be_allowed_and_a_mean_need_not_be_asked_for():
  success = base.LastSequences(window=8, tolerance=0.5, allowed=2)
  errors = np.zeros((4, BATCH))
  errors[0, :2] = 9.0
  assert _solved_at(errors, success) == 2
  errors[0, 2] = 9.0
  assert _solved_at(errors, success) == 3
  # What has not been seen is not among the misses that are allowed.
  assert _solved_at(np.zeros((1, BATCH)), success) == -1


@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('allowed', [0, 3])
def test_the_rule_equals_a_sliding_window_on_random_streams(seed, allowed):
  generator = np.random.default_rng(seed)
  success = base.LastSequences(10, tolerance=0.5, mean=0.2, allowed=allowed)
  level = np.linspace(0.8, 0.25, 120)[:, None]
  errors = generator.uniform(size=(120, BATCH)) * level
  expected = _expected_solved_at(errors, success)
  assert expected > 5
  assert _solved_at(errors, success) == expected


def test_training_judges_the_errors_of_every_update(build, monkeypatch):
  success = base.LastSequences(window=6, tolerance=0.9, mean=0.6)
  original = build().settings.task
  task = dataclasses.replace(original, success=success)
  monkeypatch.setattr(settings_lib.Settings, 'task', task)
  run = build({'optimizer.learning_rate': 0.03, 'model.hidden_features': 4})
  states, _ = _train(run, 30)
  key = jax.random.fold_in(jax.random.key(0), step.DATA)
  errors = []

  @jax.jit
  def errors_of(key, params):
    batch = original.sample(key, BATCH)
    outputs = step._outputs(run.settings, run.hyperparams, params, batch, None)
    return original.sequence_errors(outputs, batch)

  for update, state in enumerate(states[:-1]):
    errors.append(errors_of(jax.random.fold_in(key, update), state.params))
  expected = _expected_solved_at(errors, success)
  assert 1 < expected < 30
  assert int(states[-1].solved_at) == expected
  assert int(states[expected - 1].solved_at) == -1
  recent = np.asarray(errors).reshape(-1)[-6:]
  np.testing.assert_allclose(states[-1].recent, recent, atol=1e-6)


@pytest.mark.parametrize('below, solved', [(1e9, True), (1e-9, False)])
def test_held_out_success_is_judged_at_evaluations(
  build, monkeypatch, below, solved
):
  run = build()
  task = dataclasses.replace(
    run.settings.task, success=base.HeldOut('loss', below)
  )
  monkeypatch.setattr(settings_lib.Settings, 'held_out_task', task)
  state = _init(run)
  state = state._replace(update=jnp.int32(7))
  state, _ = step.evaluate(run.settings, run.hyperparams, state)
  assert int(state.solved_at) == (7 if solved else -1)
  # The first time counts.
  state = state._replace(update=jnp.int32(9))
  state, _ = step.evaluate(run.settings, run.hyperparams, state)
  assert int(state.solved_at) == (7 if solved else -1)


@pytest.mark.parametrize('limit, solved', [(1e9, True), (1e-9, False)])
def test_every_limit_of_held_out_success_must_be_met(
  build, monkeypatch, limit, solved
):
  run = build()
  rule = base.HeldOut('loss', 1e9, also=(('wrong', limit),))
  task = dataclasses.replace(run.settings.task, success=rule)
  monkeypatch.setattr(settings_lib.Settings, 'held_out_task', task)
  state, _ = step.evaluate(run.settings, run.hyperparams, _init(run))
  assert (int(state.solved_at) == 0) == solved
  assert str(rule) == f'held-out loss below 1e+09 and wrong below {limit:g}'


def test_a_cross_entropy_of_a_text_is_a_perplexity_too(build, monkeypatch):
  run = build()
  assert 'perplexity' not in _held_out_metrics(run)
  task = dataclasses.replace(run.settings.task, nats_per='character')
  monkeypatch.setattr(settings_lib.Settings, 'held_out_task', task)
  metrics = _held_out_metrics(run)
  # Of the mean, which the mean over the batches would not be.
  np.testing.assert_allclose(metrics['perplexity'], np.exp(metrics['loss']))
  assert lv.make_task('words').nats_per == 'word'
  assert lv.make_task('characters').nats_per == 'character'


def _held_out_metrics(run) -> dict[str, np.ndarray]:
  _, metrics = step.evaluate(run.settings, run.hyperparams, _init(run))
  return {name: np.asarray(value) for name, value in metrics.items()}


def test_the_held_out_set_has_its_own_length(build, monkeypatch):
  run = build({'task.evaluation_length': 13})
  assert run.settings.task.num_steps != 13
  assert all(x.shape[1] == 13 for x in _held_out(run, monkeypatch))


def test_a_diverged_run_is_not_solved_by_the_held_out_set(build, monkeypatch):
  run = build()
  task = dataclasses.replace(
    run.settings.task, success=base.HeldOut('loss', 1e9)
  )
  monkeypatch.setattr(settings_lib.Settings, 'held_out_task', task)
  state = _init(run)._replace(diverged_at=jnp.int32(5), update=jnp.int32(9))
  state, _ = step.evaluate(run.settings, run.hyperparams, state)
  assert int(state.solved_at) == -1


# Divergence.


def test_a_run_that_diverges_keeps_its_last_finite_state(build):
  run = build({'optimizer.learning_rate': 1e30, 'optimizer.name': 'sgd'})
  states, totals = _train(run, 6)
  at = int(states[-1].diverged_at)
  assert 1 <= at <= 4
  marks = [int(state.diverged_at) for state in states]
  assert marks == [-1] * at + [at] * (7 - at)
  last_finite = states[at - 1]
  for state in states[at:]:
    assert _equal(state.params, last_finite.params)
    assert _equal(state.opt_state, last_finite.opt_state)
  assert all(
    np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(states[-1].params)
  )
  assert [int(state.update) for state in states] == list(range(7))
  assert [float(total.updates) for total in totals] == [1.0] * (at - 1) + [
    0.0
  ] * (7 - at)
  assert all(float(total.loss) == 0 for total in totals[at - 1 :])


def test_an_update_with_parameters_that_are_not_finite_is_not_made(build):
  # The loss is finite, the step is not.
  run = build({'optimizer.name': 'sgd', 'optimizer.clip_norm': np.inf})
  hyperparams = run.hyperparams.replace(learning_rate=np.float32(np.inf))
  states, totals = _train(run._replace(hyperparams=hyperparams), 2)
  assert [int(state.diverged_at) for state in states] == [-1, 1, 1]
  assert _equal(states[0].params, states[2].params)
  assert float(totals[0].updates) == 0


def test_a_diverged_run_is_not_solved_by_its_training_stream(
  build, monkeypatch
):
  success = base.LastSequences(window=8, tolerance=np.inf, mean=np.inf)
  task = dataclasses.replace(build().settings.task, success=success)
  monkeypatch.setattr(settings_lib.Settings, 'task', task)
  run = build({'optimizer.name': 'sgd', 'model.hidden_features': 3})
  hyperparams = run.hyperparams.replace(learning_rate=np.float32(np.inf))
  states, _ = _train(run._replace(hyperparams=hyperparams), 4)
  assert int(states[-1].solved_at) == -1
  assert np.all(np.isinf(states[-1].recent))


def test_the_gradient_norm_is_that_before_clipping(build):
  sgd = {'optimizer.name': 'sgd'}
  small = build({**sgd, 'optimizer.clip_norm': 1e-3})
  large = build({**sgd, 'optimizer.clip_norm': np.inf})
  assert small.settings == large.settings
  (_, clipped), (_, whole) = _train(small, 1), _train(large, 1)
  assert float(clipped[0].grad_norm) == float(whole[0].grad_norm) > 0.1


def test_equal_seeds_give_equal_weights_across_variants(build):
  states = [
    _init(build({'model.variant': variant}))
    for variant in ('vanilla', 'peephole')
  ]
  assert _equal(states[0].params, states[1].params)
  other = build({'model.variant': 'vanilla', 'seed': 1})
  state = _init(other)
  assert not _equal(states[0].params, state.params)
  # The readout's bias starts at zero.
  assert not np.any(states[0].params['readout']['bias'])


def test_initial_settings_reach_the_weights(build):
  def bias(variant='vanilla', **changes):
    changes = {f'model.{key}': value for key, value in changes.items()}
    run = build({'model.variant': variant, **changes})
    state = _init(run)
    return np.asarray(state.params['layers'][0].bias).reshape(4, 5)

  np.testing.assert_array_equal(bias(forget_bias=2.0)[1], np.full(5, 2.0))
  coupled = bias(forget_bias=2.0, variant='coupled')
  np.testing.assert_array_equal(coupled[0], np.full(5, -2.0))
  chrono = bias(chrono_t_max=50.0)
  assert np.all((chrono[1] > 0) & (chrono[1] < np.log(49)))
  np.testing.assert_array_equal(chrono[0], -chrono[1])


@pytest.mark.parametrize(
  'dtype, wide', [('bfloat16', 'float32'), ('float64', 'float64')]
)
def test_computation_has_the_dtype_of_the_settings_and_parameters_32_bits(
  build, monkeypatch, dtype, wide
):
  run, seen, original = build({'model.dtype': dtype}), [], models.apply_model

  def apply_model(params, architecture, toggles, inputs, *, segment, **drawn):
    assert drawn == {'noise': None, 'dropout': None}
    seen.extend(leaf.dtype for leaf in (*jax.tree.leaves(params), inputs))
    return original(params, architecture, toggles, inputs, segment=segment)

  monkeypatch.setattr(models, 'apply_model', apply_model)
  with jax.enable_x64(dtype == 'float64'):
    state = jax.eval_shape(
      lambda hyperparams: step.init_state(run.settings, hyperparams),
      run.hyperparams,
    )
    state, totals = jax.eval_shape(
      functools.partial(step.train_step, run.settings), run.hyperparams, state
    )
    jax.eval_shape(
      functools.partial(step.evaluate, run.settings), run.hyperparams, state
    )
  assert {leaf.name for leaf in seen} == {dtype}
  assert {leaf.dtype.name for leaf in jax.tree.leaves(state.params)} == {wide}
  assert totals.loss.dtype.name == wide
