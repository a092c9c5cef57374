"""Chance levels of very long sequences, not followed to the end."""

import functools
import time

import numpy as np
import pytest

import lstm_variants as lv
from lstm_variants.tasks import (
  base,
  measures,
  reber_grammar,
  spike_trains,
)

# In seconds; to the end it takes minutes.
SOON = 10


def test_strings_are_counted_once_for_all_t_above_the_longest():
  def expect(shortest, length):
    found = reber_grammar.expect_strings(base.Spec(length, shortest))
    return np.array(found)

  for shortest, length in ((9, 20), (9, 60), (40, 60)):
    each = [expect(n, n) for n in range(shortest, length + 1)]
    np.testing.assert_allclose(expect(shortest, length), np.mean(each, axis=0))
  start = time.perf_counter()
  found = expect(9, 10**7)
  assert time.perf_counter() - start < SOON
  rest = 10**7 - 100
  each = 92 * expect(9, 100) + rest * expect(101, 101)
  np.testing.assert_allclose(found, each / (92 + rest))


@pytest.mark.parametrize('period', [1, 2, 3, 10, 30])
@pytest.mark.parametrize(('shortest', 'length'), [(700, 700), (40, 5000)])
def test_padded_characters_are_counted_step_by_step(period, shortest, length):
  # P(a character starts at a step), forwards from each start.
  begins = np.zeros(length + period + 2)
  begins[0] = 1
  for step in range(length):
    begins[step + 2 : step + 2 + period] += begins[step] / period
  counts = np.cumsum(begins)[shortest - 1 : length]
  share = 1 / np.mean(counts)
  other = (1 - share) / 8
  task = lv.make_task(
    'warping', 'variable_pad', length, shortest=shortest, period=period
  )
  assert task.baselines['loss'] == pytest.approx(
    -share * np.log(share) - (1 - share) * np.log(other), rel=1e-9
  )


@pytest.mark.parametrize(
  ('period', 'symbols'), [(2, 2), (2, 11), (3, 3), (10, 2), (10, 11), (40, 5)]
)
@pytest.mark.parametrize('last', [5, 59, 30_000])
def test_intervals_are_counted_step_by_step(period, symbols, last):
  # P(T(n) = t for some n), forwards from each t.
  ends = np.zeros(last + period + symbols)
  ends[0] = 1
  for step in range(last + 1):
    ends[step + period : step + period + symbols] += ends[step] / symbols
  found = spike_trains.intervals_begun(last, period, symbols)
  assert found.shape == (last + 1,)
  np.testing.assert_allclose(found, np.cumsum(ends[: last + 1]), rtol=1e-9)


@pytest.mark.parametrize(
  'make',
  [
    functools.partial(lv.make_task, 'warping', 'variable_pad'),
    functools.partial(lv.make_task, 'warping', 'variable_pad', period=1),
    functools.partial(lv.make_task, 'warping', 'uniform_pad', shortest=20),
    functools.partial(lv.make_task, 'spike_delays', 'msd', period=2),
    functools.partial(lv.make_task, 'periodic_function', shortest=20),
  ],
)
def test_ten_million_steps_are_reckoned_soon(make):
  start = time.perf_counter()
  assert all(np.isfinite(list(make(length=10**7).baselines.values())))
  assert time.perf_counter() - start < SOON


def test_none_is_one_number_for_all_tasks():
  for name in ('anbn', 'anbncn', 'embedded_reber', 'continual_reber'):
    assert lv.make_task(name).success == base.HeldOut('failed', measures.NONE)
  success = lv.make_task('two_sequence', 'hs97_3a').success
  assert isinstance(success, base.HeldOut)
  assert (success.metric, success.below) == ('wrong', measures.NONE)
  assert measures.NONE == 1e-9
