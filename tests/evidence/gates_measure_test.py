"""Numbers of gates against NumPy loops, SciPy and closed forms."""

import numpy as np
import pytest
import scipy.stats

from lstm_variants.evidence.gates import measure

RNG = np.random.default_rng(0)
B, T, U = 7, 12, 3
VALUES = RNG.uniform(size=(B, T, U))


def test_marks_are_found_in_their_order():
  channel = np.array([[-1, 1, 0, 1, -1], [0, 0, 0.9, 0, 0], [0, 0, 0, 0, 0]])
  np.testing.assert_array_equal(
    measure.find_marks(channel, 2), [[1, 3], [2, -1], [-1, -1]]
  )


def test_values_at_steps_are_those_of_each_sequence():
  steps = RNG.integers(0, T, B)
  expected = [VALUES[n, step] for n, step in enumerate(steps)]
  np.testing.assert_array_equal(measure.at_steps(VALUES, steps), expected)
  with pytest.raises(ValueError, match='steps from -1 to'):
    measure.at_steps(VALUES, np.full(B, -1))


def test_averages_are_those_of_a_loop_and_end_with_the_sequences():
  marks = np.stack((RNG.integers(0, T, B), RNG.integers(0, T, B)), axis=1)
  marks[0, 1] = -1
  lengths = np.maximum(marks.max(axis=1) + 1, RNG.integers(1, T + 1, B))
  found = measure.aligned(VALUES, marks, 4, 20, lengths=lengths)
  np.testing.assert_array_equal(found.steps, range(-4, 21))
  for mark in range(2):
    for window, step in enumerate(found.steps):
      rows = [
        VALUES[n, marks[n, mark] + step]
        for n in range(B)
        if marks[n, mark] >= 0 and 0 <= marks[n, mark] + step < lengths[n]
      ]
      place = mark, window
      assert found.counts[place] == len(rows)
      if not rows:
        assert np.all(np.isnan(found.mean[place]))
        continue
      np.testing.assert_allclose(found.mean[place], np.mean(rows, axis=0))
      for bound, share in ((found.low, 0.1), (found.high, 0.9)):
        np.testing.assert_allclose(bound[place], np.quantile(rows, share, 0))
  assert found.counts[:, 4].tolist() == [B, B - 1]
  assert found.counts[:, -1].tolist() == [0, 0]


def test_what_diverged_has_no_average():
  values = VALUES.copy()
  values[2, 5, 1] = np.nan
  found = measure.aligned(values, np.full((B, 1), 5), 1, 0)
  np.testing.assert_array_equal(
    np.isnan(found.mean[0]), [[False] * 3, [False, True, False]]
  )
  with pytest.raises(ValueError, match='a run that diverged has none'):
    measure.saturation(values)
  with pytest.raises(ValueError, match='a run that diverged has none'):
    measure.time_constants(values)


def test_marks_that_do_not_fit_are_refused():
  with pytest.raises(ValueError, match=r'marks \(7,\) must be \(7, number'):
    measure.aligned(VALUES, np.zeros(B, int), 1, 1)


def test_saturation_counts_steps_below_a_tenth_and_above_nine_tenths():
  gate = np.array([[[0.05, 0.1], [0.95, 0.9]], [[0.0, 1.0], [0.5, 0.01]]])
  found = measure.saturation(gate, bins=10)
  np.testing.assert_allclose(found.left, [0.5, 0.25])
  np.testing.assert_allclose(found.right, [0.25, 0.25])
  assert found.shares.sum() == pytest.approx(1)
  assert found.shares[0] == pytest.approx(3 / 8)
  inside = np.array([[True, False], [False, False]])
  assert measure.saturation(gate, inside).left.tolist() == [1, 0]
  with pytest.raises(ValueError, match='no step counts'):
    measure.saturation(gate, np.zeros((2, 2), bool))


@pytest.mark.parametrize('f', [0.3, 0.5, 0.9, 0.999])
def test_a_constant_gate_has_the_closed_form(f):
  tau = measure.time_constants(np.full((2, 5, 1), f))[0]
  assert tau == pytest.approx(-1 / np.log(f))
  if f > 0.8:
    assert tau == pytest.approx(1 / (1 - f) - 0.5, abs=0.02)


def test_the_product_of_the_factors_is_that_of_the_time_constant():
  keep = RNG.uniform(0.2, 1, size=(1, 50, U))
  tau = measure.time_constants(keep)
  np.testing.assert_allclose(np.exp(-50 / tau), keep[0].prod(axis=0))


def test_nothing_forgotten_is_for_ever_and_all_forgotten_is_not_at_all():
  keep = np.full((2, 4, 3), 0.5)
  keep[..., 0] = 1
  keep[1, 2, 1] = 0
  keep[0, :3, 2] = 1
  np.testing.assert_allclose(
    measure.time_constants(keep), [np.inf, 0, 8 / 5 / np.log(2)]
  )


def test_relevance_of_a_number_is_its_correlation():
  target = VALUES[:, 0, 0] + 0.1 * RNG.normal(size=B)
  states = np.concatenate((VALUES[:, 0], np.ones((B, 1))), axis=1)
  found = measure.relevance(states, target)
  for unit in range(U):
    expected, _ = scipy.stats.pearsonr(states[:, unit], target)
    assert found[unit] == pytest.approx(expected)
  assert found[-1] == 0


def test_relevance_of_classes_is_the_correlation_ratio():
  classes = np.array([0, 0, 1, 1, 2, 2, 2])
  states = VALUES[:, 1]
  found = measure.relevance(states, classes)
  for unit in range(U):
    groups = [states[classes == k, unit] for k in range(3)]
    f = scipy.stats.f_oneway(*groups).statistic
    # F = (η² / 2) / ((1 − η²) / (7 − 3))
    assert found[unit] ** 2 == pytest.approx(f * 2 / (f * 2 + 4))


def test_units_are_ordered_from_the_largest_to_nan():
  assert measure.order([1, np.nan, np.inf, -2, 1]).tolist() == [2, 0, 4, 3, 1]
