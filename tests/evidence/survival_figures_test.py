"""The figure of unsolved shares: what is drawn, and that it stays legible."""

import math
import re

from matplotlib import axes as axes_lib
from matplotlib import collections, figure
import numpy as np
import pytest

from lstm_variants.evidence.survival import draw, figures
from lstm_variants.plots import theme
from lstm_variants.runs import equal_training, grouping
from lstm_variants.statistics import improvement, survival
from tests.report import study_fixture


def _curves(count, factor=1):
  rng = np.random.default_rng(0)
  curves = {}
  for index in range(count):
    times = np.ceil(rng.exponential(size=8) * 9) * 400 * factor
    curves[f'model {index}'] = survival.kaplan_meier(
      np.minimum(times, 8000 * factor), times <= 8000 * factor
    )
  return curves


def _steps(axes: axes_lib.Axes) -> list[np.ndarray]:
  """Return the corners of each step line, in the order drawn."""
  return [
    np.column_stack((line.get_xdata(), line.get_ydata()))
    for line in axes.lines
    if line.get_drawstyle() == 'steps-post'
  ]


def _extent(axes: axes_lib.Axes) -> np.ndarray:
  box = axes.get_tightbbox()
  assert box is not None
  return np.array(box.extents)


def _words(drawing: figure.Figure) -> str:
  text = theme.svg(drawing, 'salt')
  return ' '.join(re.findall(r'<text[^>]*>([^<]*)<', text))


def test_the_line_is_the_curve_and_marks_are_its_censored_runs():
  curve = survival.kaplan_meier(
    [100, 200, 200, 300, 400], [True, True, False, True, False]
  )
  drawing = figures.draw_survival('t', {'vanilla': curve})
  (axes,) = drawing.axes
  (line,) = _steps(axes)
  np.testing.assert_allclose(
    line,
    [[0, 1], [100, 0.8], [200, 0.6], [300, 0.3], [400, 0.3]],
  )
  (marks,) = (line for line in axes.lines if line.get_marker() == '|')
  np.testing.assert_allclose(
    np.column_stack(marks.get_data()), [[200, 0.6], [400, 0.3]]
  )
  (band,) = axes.findobj(collections.PolyCollection)
  corners = np.asarray(band.get_paths()[0].vertices)
  for edge in (curve.low, curve.high):
    assert np.isin(np.round(edge, 9), np.round(corners[:, 1], 9)).all()


def test_labels_tell_solved_runs_and_the_test():
  curves = _curves(3)
  solved = curves['model 1'].solved.sum()
  drawing = figures.draw_survival(
    'copy, T = 100',
    curves,
    p_values={'model 1': 0.01234, 'model 2': 1e-5, 'model 0': math.nan},
    baseline='model 0',
  )
  labels = [text.get_text() for text in drawing.legends[0].get_texts()]
  assert labels[0].endswith('solved (baseline)')
  assert labels[1] == f'model 1: {solved} of 8 solved, log-rank p = 0.012'
  assert labels[2].endswith('solved, log-rank p < 0.001')
  words = _words(drawing)
  assert 'copy, T = 100' in words
  assert 'share of runs not yet solved' in words
  assert 'training sequences' in words


def test_equal_curves_are_drawn_beside_each_other():
  curve = survival.kaplan_meier([100, 300], [True, False])
  drawing = figures.draw_survival('t', dict.fromkeys('abcd', curve))
  drawing.draw_without_rendering()
  places = sorted(
    tuple(line.get_transform().transform([100, 1]))
    for line in drawing.axes[0].lines
    if line.get_drawstyle() == 'steps-post'
  )
  # In pixels, of which a line is two wide.
  apart = np.diff(places, axis=0)
  assert np.all(apart > 2)
  assert np.all(np.ptp(places, axis=0) < 10)


def test_each_of_many_models_has_a_panel_beside_the_baseline():
  curves = _curves(15)
  drawing = figures.draw_survival('t', curves, baseline='model 3')
  panels = [axes for axes in drawing.axes if axes.get_visible()]
  names = [axes.get_title(loc='left').split(':')[0] for axes in panels]
  assert names == [name for name in curves if name != 'model 3']
  for axes, name in zip(panels, names, strict=True):
    *_, baseline, own = _steps(axes)
    for line, expected in ((baseline, 'model 3'), (own, name)):
      np.testing.assert_allclose(line[1:, 1], curves[expected].survival)
    assert len(_steps(axes)) == 14 + 2
    assert len(axes.findobj(collections.PolyCollection)) == 2
  assert 'model 3' in drawing.legends[0].get_texts()[0].get_text()


@pytest.mark.parametrize(
  ('count', 'baseline'), [(1, None), (4, 'model 0'), (6, None), (15, 'model 0')]
)
def test_nothing_overlaps_or_leaves_the_page(count, baseline):
  curves = {
    name + ', $learning_rate=0.0100$, hidden_features=128': curve
    for name, curve in _curves(count).items()
  }
  names = dict(zip(_curves(count), curves, strict=True))
  drawing = figures.draw_survival(
    'adding',
    curves,
    p_values=dict.fromkeys(curves, 0.5),
    baseline=names.get(baseline),
  )
  # Labels are words, not mathematics.
  assert '$learning_rate' in _words(drawing)
  assert drawing.get_figwidth() == 7.5
  (legend,) = drawing.legends
  box = legend.get_window_extent()
  assert box.x1 <= drawing.bbox.x1
  visible = [axes for axes in drawing.axes if axes.get_visible()]
  tight = [_extent(axes) for axes in visible]
  assert all(box.y1 <= inner[1] + 1 for inner in tight)
  assert all(axes.bbox.height > 0.8 * drawing.dpi for axes in visible)
  for first, inner in enumerate(tight):
    for other in tight[:first]:
      lowest, highest = np.maximum(inner, other), np.minimum(inner, other)
      # In one direction at least they are apart, but for a pixel or so.
      assert min(highest[2:] - lowest[:2]) < 4


def test_sequences_are_logarithmic_where_most_steps_come_early():
  early = {
    name: survival.kaplan_meier([100 * k, 200 * k, 1e6], [True, True, False])
    for k, name in enumerate('abc', 1)
  }
  drawing = figures.draw_survival('t', early)
  assert drawing.axes[0].get_xscale() == 'log'
  assert drawing.axes[0].get_xlabel() == 'training sequences, logarithmic'
  # One early run does not make most steps early.
  late = {
    'a': survival.kaplan_meier([100, 9e5], [True, True]),
    'b': survival.kaplan_meier([8e5, 1e6], [True, False]),
    'c': survival.kaplan_meier([7e5, 1e6], [True, False]),
  }
  drawing = figures.draw_survival('t', late)
  assert drawing.axes[0].get_xscale() == 'linear'
  assert drawing.axes[0].get_xlim()[0] == 0


def test_models_without_runs_success_or_end_are_drawn():
  curves = {
    'none': survival.kaplan_meier([], []),
    'unsolved': survival.kaplan_meier([500, math.inf], [False, False]),
    'at once': survival.kaplan_meier([0, 0], [True, True]),
  }
  drawing = figures.draw_survival('t', curves, baseline='other')
  labels = [text.get_text() for text in drawing.legends[0].get_texts()]
  assert labels[:2] == ['none: 0 of 0 solved', 'unsolved: 0 of 2 solved']
  assert theme.png(drawing)
  drawing = figures.draw_survival('t', {'none': curves['none']})
  assert theme.png(drawing)


def test_no_curves_are_refused():
  with pytest.raises(ValueError, match='curves={}: must hold one model'):
    figures.draw_survival('t', {})


def test_how_likely_a_run_is_sooner_is_told_up_to_the_shorter_budget():
  """Where gru stopped, vanilla's later successes are none yet."""
  task = next(iter(study_fixture.TASKS))
  rows = [
    *(
      study_fixture.run(task, 'vanilla', seed, success, 0.1)
      for seed, success in enumerate((1600, 4800, 4800, 6400, None))
    ),
    *(
      study_fixture.run(task, 'gru', seed, success, 0.1, sequences=3200)
      for seed, success in enumerate((1600, 1600, 3200, None, None))
    ),
  ]
  rows = [{**row, 'id': str(number)} for number, row in enumerate(rows)]
  vanilla, gru = grouping.group_runs([task], rows)
  row = draw._against(gru, vanilla, 6400, equal_training.Standing(None, {}))
  cut = improvement.probability_of_improvement(
    improvement.Pair(
      [1600, 1600, 3200, 3200, 3200],
      [1600, 3200, 3200, 3200, 3200],
      [True, True, True, False, False],
      [True, False, False, False, False],
    )
  )
  assert row['sooner_p'] == pytest.approx(cut.p_value)
  assert row['sooner'] == pytest.approx(cut.probability.estimate)
