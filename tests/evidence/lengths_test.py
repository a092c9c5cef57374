"""Length generalisation, against whole padded batches; SciPy's intervals."""

import dataclasses
import functools
import math
from typing import Any

import jax
import numpy as np
import pytest
import scipy.stats

from lstm_variants import models, tasks
from lstm_variants.cells import lstm
from lstm_variants.evidence.lengths import measure
from lstm_variants.models.architecture import Architecture

# Most of the time of these tests is compiling.
FAST = {'xla_backend_optimization_level': 0}
TOGGLES = lstm.Toggles()
KEY = jax.random.key(3)


@functools.cache
def make(architecture: Architecture, seed: int = 0):
  init = jax.jit(
    lambda key: models.init_model(key, architecture, TOGGLES),
    compiler_options=FAST,
  )
  return init(jax.random.key(seed))


def model_of(task, **fields):
  return Architecture(
    'lstm', 1, task.in_features, 4, task.out_features, 'uniform', **fields
  )


def test_each_length_is_measured_as_a_whole_batch_would_be():
  # 70 steps are more than two looks at whether the sequences are over.
  whole = tasks.make_task('adding', 'hs97', 64)
  drawn = []

  def sample(key, batch_size, length=None):
    drawn.append(None)
    return whole.sample(key, batch_size, length)

  task = dataclasses.replace(whole, sample=sample)
  architecture = model_of(task)
  runs = [make(architecture, seed) for seed in range(2)]
  points = [64, 11, 40]
  found = measure.measure_lengths(
    runs, architecture, TOGGLES, task, points, key=KEY, batch_size=6, batches=2
  )
  # One program, whatever the number of lengths, batches and runs.
  assert len(drawn) == 1
  assert set(found) == {'loss', 'wrong'}
  assert found['loss'].mean.shape == found['loss'].low.shape == (2, 3)
  whole_batch = jax.jit(
    lambda params, batch: whole.measure(
      models.apply_model(params, architecture, TOGGLES, batch.inputs)[1], batch
    ),
    compiler_options=FAST,
  )
  for place, length in enumerate(points):
    batches = _batches(whole, length)
    for run, params in enumerate(runs):
      means = [whole_batch(params, batch) for batch in batches]
      for name, curve in found.items():
        expected = sum(m[name].total for m in means) / sum(
          m[name].weight for m in means
        )
        assert curve.mean[run, place] == pytest.approx(
          float(expected), rel=1e-5
        )


def _batches(task, length):
  """Draw the two batches of a length as `measure_lengths` does, not traced."""
  key = jax.random.fold_in(jax.random.fold_in(KEY, 0x6C656E), length)
  return [
    task.sample(jax.random.fold_in(key, index), 6, length) for index in range(2)
  ]


def test_a_bidirectional_model_begins_at_the_end_of_each_sequence():
  task = tasks.make_task('adding', 'urnn16', 12)
  architecture = model_of(task, bidirectional=True)
  params = make(architecture)
  found = measure.measure_lengths(
    [params], architecture, TOGGLES, task, [5, 12], key=KEY, batch_size=6
  )
  batch = _batches(task, 5)[0]
  alone = batch._replace(
    inputs=batch.inputs[:, :5],
    targets=batch.targets[:, :5],
    mask=batch.mask[:, :5],
  )
  expected = jax.jit(
    lambda params: task.loss(
      models.apply_model(params, architecture, TOGGLES, alone.inputs)[1], alone
    ),
    compiler_options=FAST,
  )(params)
  assert found['loss'].mean[0, 0] == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize(
  ('name', 'dialect', 'ends'),
  [
    ('copy', 'urnn16', lambda T: {T + 20}),
    ('parity', 'xlstm24', lambda T: {T - 1}),
    ('anbn', 'gers01', lambda T: {2 * T + 1}),
    ('bucket_sort', 'deletang23', lambda T: {2 * T}),
  ],
)
def test_every_sequence_has_the_length_that_is_asked_for(name, dialect, ends):
  task = tasks.make_task(name, dialect, 30)
  sample = jax.jit(
    lambda length: task.sample(KEY, 20, length), compiler_options=FAST
  )
  for length in (9, 30):
    mask = np.asarray(sample(length).mask)
    last = mask.shape[1] - np.argmax(mask[:, ::-1] > 0, axis=1)
    assert set(last.tolist()) == ends(length)


def test_chance_follows_the_length():
  levels = measure.chance('copy', None, [10, 100])
  assert levels['loss'] == pytest.approx(
    [10 * math.log(8) / (length + 20) for length in (10, 100)]
  )


def test_a_share_of_single_answers_has_the_binomial_interval_of_wilson():
  for wrong in (0, 3, 10, 40):
    total = np.repeat([1.0, 0.0], [wrong, 40 - wrong])
    found = measure.interval(total, np.ones(40))
    expected = scipy.stats.binomtest(wrong, 40).proportion_ci(method='wilson')
    assert found.mean == wrong / 40
    assert found.low == pytest.approx(expected.low, abs=1e-12)
    assert found.high == pytest.approx(expected.high, abs=1e-12)


def test_answers_of_one_sequence_are_not_counted_as_independent():
  # Ten answers each, all right or all wrong: as one answer each.
  total, weight = np.repeat([10.0, 0.0], [5, 15]), np.full(20, 10.0)
  together = measure.interval(total, weight)
  single = measure.interval(total / 10, np.ones(20))
  np.testing.assert_allclose(together, single)
  # Answers that are independent count as many.
  total = np.random.default_rng(0).binomial(10, 0.25, 20_000).astype(float)
  found = measure.interval(total, np.full(20_000, 10.0))
  exact = scipy.stats.binomtest(int(total.sum()), 200_000).proportion_ci(
    method='wilson'
  )
  assert found.high - found.low == pytest.approx(
    exact.high - exact.low, rel=0.03
  )


def test_bounds_of_an_error_solve_halls_equation():
  errors = np.random.default_rng(0).exponential(size=(2, 50))
  found = measure.interval(errors, np.ones((2, 50)))
  np.testing.assert_allclose(found.mean, errors.mean(axis=1))
  g = scipy.stats.skew(errors, axis=1) / math.sqrt(50)
  z = scipy.stats.norm.ppf(0.975)
  for bound, quantile in ((found.low, z), (found.high, -z)):
    t = (found.mean - bound) / scipy.stats.sem(errors, axis=1)
    moved = t + g * t**2 / 3 + g**2 * t**3 / 27 + g / 6
    np.testing.assert_allclose(moved, quantile)


def test_an_error_that_is_not_skewed_has_the_standard_error_of_its_mean():
  errors = np.array([0.1, 0.4, 0.5, 0.6, 0.9])
  found = measure.interval(errors, np.ones(5))
  half = scipy.stats.norm.ppf(0.975) * scipy.stats.sem(errors)
  assert found.high - found.mean == pytest.approx(half)
  assert found.mean - found.low == pytest.approx(half)


def test_intervals_of_skewed_sequences_cover_as_often_as_they_say():
  # Mean ± z s, before: 92 and 89 % of the time.
  rng = np.random.default_rng(0)
  losses = rng.lognormal(size=(2000, 128))
  hard = rng.beta(0.04, 1.96, size=(2000, 128))
  wrong = rng.binomial(20, hard).astype(float)
  for total, weight, value in (
    (losses, 1.0, math.exp(0.5)),
    (wrong, 20.0, 0.02),
  ):
    found = measure.interval(total, np.full(total.shape, weight))
    covered = np.mean((found.low <= value) & (value <= found.high))
    assert 0.925 < covered < 0.975


def test_the_interval_of_a_ratio_covers_it():
  rng = np.random.default_rng(0)
  weight = rng.integers(1, 10, size=(2000, 100)).astype(float)
  total = weight * (0.5 + 0.2 * rng.normal(size=(2000, 100)))
  found = measure.interval(total, weight)
  covered = np.mean((found.low < 0.5) & (found.high > 0.5))
  assert 0.93 < covered < 0.965


def test_one_sequence_and_what_diverged_have_no_interval():
  one = measure.interval(np.array([0.3]), np.ones(1))
  assert one.mean == 0.3 and np.isnan(one.low) and np.isnan(one.high)
  broken = measure.interval(np.array([0.3, np.nan]), np.ones(2))
  assert np.all(np.isnan(broken))


def test_what_cannot_be_measured_is_refused():
  task = tasks.make_task('adding', length=20)
  architecture = model_of(task)
  run = make(architecture)
  fixed = dataclasses.replace(task, sample=lambda key, batch_size: None)  # pyrefly: ignore[bad-argument-type]
  grown = tasks.make_task('long_lag', 'hs97_2a', 30)
  refused: Any = (
    ([], task, [5], {}, 'no runs'),
    ([run], task, [], {}, 'no lengths'),
    ([run], task, [21], {}, 'length 21 .* nearest: 20'),
    ([run], task, [1], {}, 'must be 2 to 20.* nearest: 2'),
    ([run], task, [5], {'batch_size': 0}, 'batch_size=0'),
    ([run], fixed, [5], {}, 'cannot draw sequences of one given length'),
    ([run], grown, [5], {}, 'in_features=2 of the model, 31 of'),
  )
  for runs, chosen, points, options, message in refused:
    with pytest.raises(ValueError, match=message):
      measure.measure_lengths(
        runs, architecture, TOGGLES, chosen, points, key=KEY, **options
      )
