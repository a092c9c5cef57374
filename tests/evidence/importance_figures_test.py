"""The figures of a random search show their numbers and stay legible."""

import re
from typing import Any

from matplotlib import figure
import numpy as np
import pytest

from lstm_variants.evidence.importance import figures, measure, search_space
from lstm_variants.plots import theme
from lstm_variants.statistics import best_trials

WIDTH = search_space.Axis('w', 'width (units)', 'log', 0.9, 1.8)
MOMENTUM = search_space.Axis('m', 'momentum', 'complement', 0.02, 1.98)
NOISE = search_space.Axis('n', 'input noise', 'linear', 0.0, 0.3)
MODEL = search_space.Axis(
  'model', 'model', 'level', -0.5, 1.5, levels=('peephole', 'cost $5 and $6')
)


def _best(model, losses, verdict=best_trials.EQUAL, params=1000.0):
  return best_trials.Best(
    model, np.array(losses, float), 20, 1, params, 0.1, 0.2, verdict
  )


def _marginal(axis, loss=0.01):
  values = axis.values(axis.grid(10))
  curve = loss * (1 + np.arange(len(values)))
  return measure.Marginal(axis, values, curve, curve / 2, curve * 2)


def _shares(labels, alone, fit=0.5):
  alone = np.array(alone)
  rest = 1 - alone.sum()
  return measure.Shares(labels, alone, rest, 0.08, alone, fit, 180, 3)


def _words(drawing: figure.Figure) -> str:
  text = theme.svg(drawing, 'salt')
  return ' '.join(re.findall(r'<text[^>]*>([^<]*)<', text))


def test_boxes_are_quartiles_and_range_with_the_mean():
  losses = [1, 2, 3, 4, 9]
  drawing = figures.draw_best(
    'a title', {'adding': [_best('v', losses, best_trials.BASELINE)]}
  )
  axes = drawing.axes[0]
  ends = {
    tuple(map(float, np.unique(np.asarray(x.get_ydata())))) for x in axes.lines
  }
  # Box, whiskers, caps, median, mean.
  assert ends == {
    (2.0, 4.0),
    (1.0, 2.0),
    (4.0, 9.0),
    (1.0,),
    (9.0,),
    (3.0,),
    (3.8,),
  }
  assert axes.get_xticklabels()[0].get_text() == 'v\n(baseline)'


def test_a_significant_difference_is_thick_and_blue():
  drawing = figures.draw_best(
    't',
    {
      'adding': [
        _best('v', [1, 2, 3], best_trials.BASELINE),
        _best('worse', [4, 5, 6], best_trials.WORSE),
        _best('equal', [1, 2, 4]),
        _best('better', [0.1, 0.2, 0.3], best_trials.BETTER),
      ]
    },
  )
  boxes = [x for x in drawing.axes[0].lines if np.size(x.get_xdata()) == 5]
  blue = [box.get_color() == theme.PALETTE[0] for box in boxes]
  assert blue == [False, True, False, True]
  assert [box.get_linewidth() for box in boxes] == [1, 2, 1, 2]


def test_bars_are_the_numbers_of_parameters():
  models = [_best('v', [1, 2], params=500.0), _best('w', [1, 2], params=900.0)]
  drawing = figures.draw_best('t', {'adding': models})
  (behind,) = (axes for axes in drawing.axes if axes.patches)
  bars: Any = behind.patches
  assert [bar.get_height() for bar in bars] == [500, 900]


def test_each_task_has_a_panel_and_models_without_losses_a_place():
  models = [_best('v', [1, 2]), _best('none', [], best_trials.UNKNOWN, np.nan)]
  drawing = figures.draw_best('t', {'adding $1 and $2': models, 'copy': models})
  assert len(drawing.axes) == 4
  words = _words(drawing)
  for word in ('adding $1 and $2', 'copy', 'none', 'best 2 trials of each'):
    assert word in words
  assert theme.png(drawing)


def test_curves_are_the_marginals_on_one_axis_of_losses():
  marginals = [_marginal(axis) for axis in (WIDTH, MOMENTUM, NOISE, MODEL)]
  shares = _shares([m.axis.label for m in marginals], [0.5, 0.1, 0.1, 0.1])
  drawing = figures.draw_marginals(
    't',
    marginals,
    shares,
    other=('peephole', [_marginal(WIDTH, 0.02)]),
    seconds=('width (units)', {8.0: 1.0, 64.0: 3.0}),
    memoryless=0.167,
  )
  panels = drawing.axes[:4]
  for axes, marginal in zip(panels, marginals, strict=True):
    line = axes.lines[0]
    np.testing.assert_allclose(
      np.asarray(line.get_ydata(), float), marginal.loss
    )
    np.testing.assert_allclose(
      np.asarray(line.get_xdata(), float), marginal.values
    )
    assert axes.get_ylim() == panels[0].get_ylim()
  np.testing.assert_allclose(
    np.asarray(panels[0].lines[1].get_ydata(), float), 0.02 * np.arange(1, 11)
  )
  assert panels[0].get_xscale() == 'log'
  ticks = [label.get_text() for label in panels[1].get_xticklabels()]
  assert ticks == ['0', '0.5', '0.9', '0.99']
  times = next(a for a in drawing.axes if a.get_ylabel() == 's per run')
  np.testing.assert_allclose(
    np.asarray(times.lines[0].get_ydata(), float), [1, 3]
  )
  words = _words(drawing)
  for word in ('cost $5 and $6', 'peephole alone', 'without memory', '50'):
    assert word in words


def test_bars_of_shares_fill_the_whole():
  bars = {
    'all models': _shares(['rate', 'width', 'model'], [0.6, 0.1, 0.05]),
    'peephole': _shares(['rate', 'width'], [0.3, 0.2], fit=-0.1),
  }
  drawing = figures.draw_shares('t', bars)
  (axes,) = drawing.axes
  ends: dict[float, float] = {}
  bars_drawn: Any = axes.patches
  for bar in bars_drawn:
    # Each begins where the last one ends.
    assert bar.get_x() == pytest.approx(ends.get(bar.get_y(), 0))
    ends[bar.get_y()] = ends.get(bar.get_y(), 0) + bar.get_width()
  np.testing.assert_allclose(list(ends.values()), 100)
  # What describes chance is pale.
  pale = {round(b.get_y() + 0.35) for b in bars_drawn if b.get_alpha() == 0.35}
  assert pale == {1}
  words = _words(drawing)
  for word in ('60', 'rate', 'together, or chance', '8 %', '-0.10'):
    assert word in words


@pytest.mark.parametrize('count', [9, 15])
@pytest.mark.parametrize('name', ['nig', 'peephole+toggle_number'])
def test_names_of_many_models_do_not_overlap(count, name):
  models = [_best(f'{name}{n}', [1, 2, 4, 8]) for n in range(count)]
  drawing = figures.draw_best('t', {'adding': models})
  drawing.draw_without_rendering()
  labels = drawing.axes[0].get_xticklabels()
  turned = labels[0].get_rotation()
  assert turned == (0 if name == 'nig' else 40)
  boxes = [label.get_window_extent() for label in labels]
  for left, right in zip(boxes, boxes[1:], strict=False):
    if turned:
      # Their ends are a line of text apart.
      assert (right.x1 - left.x1) * np.sin(np.radians(40)) > 10
    else:
      assert left.x1 < right.x0


def test_nothing_is_refused():
  with pytest.raises(ValueError, match='one model at least'):
    figures.draw_best('t', {})
  with pytest.raises(ValueError, match='one model at least'):
    figures.draw_best('t', {'adding': []})
  with pytest.raises(ValueError, match='one hyper-parameter at least'):
    figures.draw_marginals('t', [], _shares(['a'], [0.5]))
  with pytest.raises(ValueError, match='one set of trials'):
    figures.draw_shares('t', {})
