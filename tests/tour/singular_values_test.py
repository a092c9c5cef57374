"""The simple RNN by its largest singular value, against closed forms."""

import math
from typing import Any

from matplotlib import colors
import numpy as np
import pytest

from docs.tour import singular_values, singular_values_figures


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


def test_lines_are_ordered_by_value_and_panels_are_beside_each_other():
  steps = np.arange(12)
  values = np.array([0.5, 1.0, 2.0])
  linear = steps * np.log10(values)[:, None]
  norms = np.broadcast_to(linear[None, None, :, None], (2, 2, 3, 2, 12)).copy()
  norms[:, 1] -= 0.5 * steps
  curves = singular_values.SingularValues(
    values,
    norms,
    np.ones((2, 2, 3, 2)),
    np.stack((values, values / 2))[..., None] * np.ones(2),
    1.5,
  )
  drawing = singular_values_figures.draw_singular_values(curves)
  (legend,) = drawing.legends
  assert [text.get_text() for text in legend.get_texts()] == [
    *('σ = 2', 'σ = 1', 'σ = 0.5'),
    'all seeds',
  ]
  colour_of: dict[str, Any] = {
    text.get_text(): line.get_color()
    for text, line in zip(legend.get_texts(), legend.get_lines(), strict=False)
  }
  panels = zip(drawing.axes, norms[:, :, :, 0].reshape(4, 3, 12), strict=True)
  for axes, expected in panels:
    lines: list[Any] = [x for x in axes.lines if np.size(x.get_xdata()) == 12]
    for line, value, y in zip(lines, values, expected, strict=True):
      np.testing.assert_allclose(line.get_ydata(), y)
      assert colors.same_color(line.get_color(), colour_of[f'σ = {value:g}'])
  assert colour_of['σ = 1'] == 'black'
  assert 'radius 0.5 σ' in drawing.axes[2].get_ylabel()
  assert 'N(0, 1.5²)' in drawing.axes[1].get_title('left')
