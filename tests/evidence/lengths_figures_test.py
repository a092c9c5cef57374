"""The picture of length generalisation: what is drawn, and its legibility."""

from typing import Any

import numpy as np
import pytest

from lstm_variants.evidence.lengths import figures
from lstm_variants.plots import theme

LENGTHS = [10, 20, 40, 2000]


def draw(models, **options):
  chosen: Any = {'metric': 'share wrong', 'trained': (10, 20), **options}
  return figures.draw_lengths('adding-T20', models, **chosen)


def test_lines_are_medians_and_bands_span_the_runs_that_are_finite():
  values = np.array([[0.1, 0.2, 0.3, np.nan], [0.3, 0.2, np.inf, np.nan]])
  axes = draw({'vanilla': (LENGTHS, values)}).axes[0]
  line: Any = axes.lines[0]
  np.testing.assert_array_equal(line.get_xdata(), [10, 20, 40])
  np.testing.assert_allclose(line.get_ydata(), [0.2, 0.2, 0.3])
  (band,) = axes.collections
  corners: Any = band.get_paths()[0].vertices
  assert {0.1, 0.3} <= set(corners[corners[:, 0] == 10, 1])
  assert axes.get_xscale() == 'log'


def test_lengths_in_any_order_make_the_same_line():
  values = np.array([[4.0, 1.0, 3.0, 2.0]])
  axes = draw({'m': ([2000, 10, 40, 20], values)}).axes[0]
  np.testing.assert_array_equal(axes.lines[0].get_xdata(), LENGTHS)
  np.testing.assert_array_equal(axes.lines[0].get_ydata(), [1, 2, 3, 4])


def test_chance_and_the_lengths_of_training_are_shown():
  drawing = draw(
    {'m': ([10, 20], [[0.1, 0.2]])}, chance=([10, 20], 0.5), trained=(10, 15)
  )
  (legend,) = drawing.legends
  texts = [text.get_text() for text in legend.get_texts()]
  assert texts == ['m', 'trained: 10 to 15', 'without memory']
  axes = drawing.axes[0]
  level: Any = axes.lines[-1].get_ydata()
  np.testing.assert_allclose(level, 0.5)
  assert axes.get_xscale() == axes.get_yscale() == 'linear'


def test_fifteen_models_with_long_names_stay_legible():
  models = {
    f'coupled-peephole $LSTM_{n}$ of 128 units': (LENGTHS, [[1e-4, 0.1, 1, n]])
    for n in range(1, 16)
  }
  drawing = draw(models)
  text = theme.svg(drawing, 'salt')
  assert 'coupled-peephole $LSTM_15$' in text
  axes, (legend,) = drawing.axes[0], drawing.legends
  assert legend.get_window_extent().y1 < axes.bbox.y0
  assert legend.get_window_extent().x1 <= drawing.bbox.x1
  assert axes.bbox.height > 250
  handles: list[Any] = list(legend.legend_handles)[:15]
  looks = {(h.get_color(), str(h._unscaled_dash_pattern)) for h in handles}
  assert len(looks) == 15 and axes.get_yscale() == 'log'


def test_runs_that_all_diverged_leave_axes():
  theme.png(draw({'m': (LENGTHS, np.full((3, 4), np.nan))}))


def test_one_run_of_one_length_is_a_dot():
  axes = draw({'m': ([20], [[0.5]])}).axes[0]
  assert axes.lines[0].get_marker() == 'o'


def test_what_does_not_fit_is_refused():
  with pytest.raises(ValueError, match='no models'):
    draw({})
  for values in (np.zeros((0, 4)), np.zeros((2, 3)), np.zeros(4)):
    with pytest.raises(ValueError, match=r'values of m .* must be \(runs, 4\)'):
      draw({'m': (LENGTHS, values)})
