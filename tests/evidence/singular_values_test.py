"""The simple RNN by its largest singular value, against closed forms."""

import math
from typing import Any

import numpy as np
import pytest

from lstm_variants.evidence.gradient_flow import singular_values


@pytest.fixture(scope='module')
def curves() -> Any:
  return singular_values.singular_value_curves(
    [0.8, 1.0, 1.3], 16, 60, [0, 1], 1.0
  )


def test_an_orthogonal_matrix_keeps_sigma_to_the_k(curves):
  k = np.arange(61)
  for n, value in enumerate(curves.values):
    expected = np.broadcast_to(k * math.log10(value), (2, 61))
    np.testing.assert_allclose(curves.norms[0, 0, n], expected, atol=1e-3)
  np.testing.assert_allclose(
    curves.radii[0], np.stack([curves.values] * 2, axis=1), rtol=1e-4
  )
  np.testing.assert_allclose(curves.slopes[:, 0], 1, rtol=1e-6)


def test_a_gaussian_matrix_follows_its_spectral_radius_in_the_long_run(curves):
  linear = curves.norms[1, 0]
  # One step is σ, whatever the radius is.
  np.testing.assert_allclose(
    10 ** linear[:, :, 1], np.stack([curves.values] * 2, axis=1), rtol=1e-4
  )
  rates = 10 ** ((linear[..., 60] - linear[..., 30]) / 30)
  np.testing.assert_allclose(rates, curves.radii[1], rtol=0.05)
  assert np.all(curves.radii[1, 2] < 1.1) and np.all(curves.radii[1, 0] < 0.8)


def test_saturation_turns_explosion_into_decay(curves):
  linear, tanh = curves.norms[0, :, 2, :, -1]
  assert np.all(linear > 6) and np.all(tanh < -2)
  assert np.all(curves.slopes[:, 1] < 0.8)
  # The more so, the larger the inputs are.
  louder = singular_values.singular_value_curves([1.3], 16, 60, [0, 1], 3.0)
  assert np.all(louder.norms[0, 1, 0, :, -1] < tanh - 5)


def test_no_value_no_seed_and_values_of_0_are_refused():
  for values, seeds in (([], [0]), ([1.0], []), ([0.0], [0])):
    with pytest.raises(ValueError, match='at least one of each'):
      singular_values.singular_value_curves(values, 4, 3, seeds, 1.0)
