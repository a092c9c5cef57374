"""Periodic function generation (PFG) against fractions and brute force."""

import fractions
import math
from typing import Any

import jax
import numpy as np
import pytest

import lstm_variants as lv
from lstm_variants.tasks import base, measures, waveforms

MEASURE = jax.jit(waveforms.measure)
ERRORS = jax.jit(measures.absolute_errors)
SHAPES = ('cosine', 'triangle', 'rectangle')
CHOICES = [
  {'length': 100},
  {'length': 57, 'period': 25},
  {'length': 31, 'period': 3},
  {'length': 40, 'shortest': 13, 'period': 11},
]
CASES = [(shape, choice) for shape in SHAPES for choice in CHOICES]


def expected(shape: str, period: int, steps: int) -> list[float]:
  """Return the wave, one period worked out in fractions and repeated."""
  half = fractions.Fraction(period, 2)
  values = []
  for phase in range(period):
    if shape == 'cosine':
      values.append(math.sin(math.pi * phase / period) ** 2)
    elif shape == 'rectangle':
      values.append(1.0 if phase > half else 0.0)
    else:
      near = min(phase, period - phase)
      values.append(float(near / half))
  return [values[t % period] for t in range(steps)]


def make(shape: str, choice: dict[str, int]) -> base.Task:
  options: dict[str, Any] = dict(choice)
  return lv.make_task('periodic_function', shape, **options)


def draw(shape: str, choice: dict[str, int], seed: int = 0):
  task = make(shape, choice)
  sample = jax.jit(task.sample, static_argnums=1)
  batch = sample(jax.random.key(seed), 3)
  return task, jax.tree.map(np.asarray, batch)


def value(mean) -> float:
  return float(mean.total / mean.weight)


@pytest.mark.parametrize(('shape', 'choice'), CASES)
def test_the_target_is_the_wave_from_0_on_and_there_is_no_input(shape, choice):
  task, batch = draw(shape, choice)
  steps = choice['length']
  assert task.num_steps == steps and batch.inputs.shape == (3, steps, 1)
  assert not batch.inputs.any()
  assert batch.targets.shape == (3, steps, 1)
  end = int(batch.mask[0].sum())
  assert choice.get('shortest', steps) <= end <= steps
  wave = expected(shape, choice.get('period', 10), end)
  for targets, mask in zip(batch.targets[..., 0], batch.mask, strict=True):
    np.testing.assert_array_equal(mask, np.arange(steps) < end)
    np.testing.assert_allclose(targets[:end], wave, atol=1e-6)
    assert not targets[end:].any()
  outputs = np.zeros((3, steps, 1), np.float32)
  outputs[:, :end, 0] = wave
  assert task.measure is waveforms.measure
  assert task.sequence_errors is measures.absolute_errors
  means = MEASURE(outputs, batch)
  assert value(means['loss']) < 1e-12
  assert value(means['wrong']) == value(means['failed']) == 0
  errors = ERRORS(outputs, batch)
  assert np.max(errors) < 1e-6


def test_the_waves_of_f_10_are_those_of_the_docstring():
  drawn = {
    shape: draw(shape, {'length': 10})[1].targets[0, :, 0] for shape in SHAPES
  }
  rows = {
    'cosine': [0, 0.10, 0.35, 0.65, 0.90, 1, 0.90, 0.65, 0.35, 0.10],
    'triangle': [0, 0.2, 0.4, 0.6, 0.8, 1, 0.8, 0.6, 0.4, 0.2],
    'rectangle': [0, 0, 0, 0, 0, 0, 1, 1, 1, 1],
  }
  for shape, row in rows.items():
    np.testing.assert_allclose(drawn[shape], row, atol=0.006)


def test_every_sequence_and_every_key_is_the_same():
  for shape in SHAPES:
    one, two = (draw(shape, {'length': 30}, seed)[1] for seed in (0, 1))
    np.testing.assert_array_equal(one.targets, two.targets)
    np.testing.assert_array_equal(one.targets[0], one.targets[2])


def test_t_is_drawn_for_each_batch_alike_from_shortest_to_length():
  task = make('cosine', {'length': 40, 'shortest': 13})
  sample = jax.jit(task.sample, static_argnums=1)
  keys = [jax.random.key(n) for n in range(400)]
  counts = np.bincount([int(sample(key, 1).mask.sum()) for key in keys])
  assert len(counts) == 41 and not counts[:13].any()
  assert np.all(np.abs(counts[13:] - 400 / 28) < 5 * (400 / 28) ** 0.5)


@pytest.mark.parametrize(('shape', 'choice'), CASES)
def test_chance_level_is_that_of_the_best_constants(shape, choice):
  task = make(shape, choice)
  first = choice.get('shortest', choice['length'])
  values = np.concatenate(
    [
      expected(shape, choice.get('period', 10), end)
      for end in range(first, choice['length'] + 1)
    ]
  )
  errors = np.abs(values[:, None] - np.linspace(0, 1, 1001))
  squares = np.mean(errors**2, axis=0)
  assert task.baselines['loss'] == pytest.approx(squares.min(), abs=1e-6)
  # Where a difference is 0.3 but for rounding, it is not within 0.3.
  wrong = np.mean(errors > 0.3 - 1e-7, axis=0)
  assert task.baselines['wrong'] == pytest.approx(wrong.min(), abs=1e-9)
  assert task.baselines['failed'] == 1 and wrong.min() > 0


def test_over_whole_periods_the_chance_levels_are_the_known_variances():
  for period in (10, 26):
    losses = {
      shape: lv.make_task(
        'periodic_function', shape, 4 * period, period=period
      ).baselines['loss']
      for shape in SHAPES
    }
    assert losses['cosine'] == pytest.approx(1 / 8)
    assert losses['triangle'] == pytest.approx(1 / 12 + 2 / 3 / period**2)
    share = (period / 2 - 1) / period
    assert losses['rectangle'] == pytest.approx(share * (1 - share))


def test_a_step_is_right_within_03():
  task, batch = draw('cosine', {'length': 30})
  for error, right in ((0.299, True), (-0.301, False)):
    outputs = batch.targets + np.float32(error)
    means = MEASURE(outputs, batch)
    assert value(means['wrong']) == value(means['failed']) == (not right)
    assert value(means['loss']) == pytest.approx(error**2, rel=1e-5)
    errors = ERRORS(outputs, batch)
    np.testing.assert_allclose(errors, abs(error), rtol=1e-5)
  assert task.success == base.LastSequences(window=100, tolerance=0.3)


@pytest.mark.parametrize(
  ('choice', 'message'),
  [
    ({'length': 9}, 'length 9.*nearest: 10'),
    ({'length': 24, 'period': 25}, 'period 25.*nearest: 24'),
    ({'length': 50, 'shortest': 20, 'period': 25}, 'shortest 20.*nearest: 25'),
    ({'length': 50, 'period': 2}, 'period 2.*nearest: 3'),
  ],
)
def test_what_does_not_fit_is_refused_with_the_nearest(choice, message):
  with pytest.raises(base.SpecError, match=message):
    make('cosine', choice)


def test_the_summary_names_the_fields_abbreviation():
  for shape in SHAPES:
    task = lv.make_task('periodic_function', shape)
    assert task.summary.startswith('PFG') and shape in task.summary
