"""What the figures of gradients draw, and that they draw anything given."""

from typing import Any

from matplotlib import colors
import numpy as np
import pytest

from lstm_variants.evidence.gradient_flow import curves, figures
from lstm_variants.plots import theme

T = 12
STEPS = np.arange(T)


def flow(label: str, rate: float, *, states=('c', 'h'), seeds=3):
  """A model whose errors fall by `rate` a step, seeds apart by factors of 2."""
  falling = rate ** (T - 1.0 - STEPS) * 2.0 ** np.arange(seeds)[:, None]
  return curves.Flow(label, dict.fromkeys(states, falling))


def lines_of(axes) -> Any:
  """Return label-less lines with as many points as there are steps."""
  return [line for line in axes.lines if len(line.get_xdata()) == T]


def moments(*models, titles=('before training', 'at the end')):
  return [figures.Moment(title, models) for title in titles]


def texts(drawing) -> list[str]:
  (legend,) = drawing.legends
  return [text.get_text() for text in legend.get_texts()]


def test_a_line_is_the_median_and_a_band_the_range_of_the_seeds():
  drawing = figures.draw_gradient_flow(
    'task', moments(flow('slow', 0.9), flow('fast', 0.1))
  )
  assert len(drawing.axes) == 4
  for axes in drawing.axes:
    slow, fast = lines_of(axes)
    expected = (T - 1 - STEPS) * np.log10(0.9) + np.log10(2)
    np.testing.assert_allclose(slow.get_ydata(), expected)
    assert slow.get_color() != fast.get_color()
    band = np.asarray(axes.collections[0].get_paths()[0].vertices)
    inner = band[band[:, 0] == 5][:, 1]
    middle = expected[5]
    np.testing.assert_allclose(
      [inner.min(), inner.max()], middle + np.log10([0.5, 2])
    )
  assert [axes.get_title('left') for axes in drawing.axes[:2]] == [
    'before training',
    'at the end',
  ]
  assert texts(drawing) == ['slow', 'fast', 'median, range of seeds']


def test_a_model_without_c_is_in_the_row_of_h_alone():
  drawing = figures.draw_gradient_flow(
    'task', moments(flow('lstm', 0.9), flow('rnn', 0.5, states=('h',)))
  )
  counts = [len(lines_of(axes)) for axes in drawing.axes]
  assert counts == [1, 1, 2, 2]
  labels = [axes.get_ylabel() for axes in drawing.axes]
  assert 'c_t' in labels[0] and 'h_t' in labels[2]
  # Of one look in both rows.
  (of_c, *_), (of_h, *_) = (lines_of(drawing.axes[n]) for n in (0, 2))
  assert of_c.get_color() == of_h.get_color()


def test_the_same_model_looks_the_same_at_every_moment():
  before = figures.Moment('a', [flow('x', 0.5), flow('y', 0.6)])
  after = figures.Moment('b', [flow('y', 0.7)])
  drawing = figures.draw_gradient_flow('task', [before, after])
  (_, y), (again,) = map(lines_of, drawing.axes[:2])
  assert colors.same_color(y.get_color(), again.get_color())


def test_marks_are_in_every_panel_and_in_the_legend():
  drawing = figures.draw_gradient_flow(
    'task', moments(flow('x', 0.5)), marks={'first value': [2, 7]}
  )
  for axes in drawing.axes:
    short = [line for line in axes.lines if line not in lines_of(axes)]
    assert [np.ravel(line.get_xdata())[0] for line in short] == [2, 7]
  assert 'first value' in texts(drawing)


def test_what_is_nothing_leaves_the_panel_and_what_is_unknown_is_a_gap():
  norms = np.ones((1, T))
  norms[0, :3], norms[0, -1] = 0, np.nan
  drawing = figures.draw_gradient_flow(
    'task', moments(curves.Flow('x', {'h': norms}), titles=('now',))
  )
  (axes,) = drawing.axes
  (line,) = lines_of(axes)
  y = np.asarray(line.get_ydata())
  assert np.all(y[:3] < axes.get_ylim()[0] - 1) and np.isnan(y[-1])
  # One seed has no range.
  assert not axes.collections and texts(drawing) == ['x']


def lags(label: str, *, path=True):
  norms = -np.broadcast_to(STEPS, (2, T)) * 10.0
  return curves.Lags(
    label, {'c': norms, 'h': norms}, 0 * norms if path else None
  )


def test_lag_norms_of_1e_110_are_drawn_with_the_forget_gates_dotted():
  drawing = figures.draw_lags('task', moments(lags('x')))
  of_c, of_h = lines_of(drawing.axes[0]), lines_of(drawing.axes[2])
  assert [len(of_c), len(of_h)] == [2, 1]
  np.testing.assert_allclose(of_c[0].get_ydata(), -10.0 * STEPS)
  np.testing.assert_allclose(of_c[1].get_ydata(), 0)
  assert of_c[0].get_color() == of_c[1].get_color()
  assert of_c[1].is_dashed() and not of_c[0].is_dashed()
  assert 'forget gates alone' in texts(drawing)
  # What matters stays legible.
  low, high = drawing.axes[0].get_ylim()
  assert -20 < low < -15 and high < 2
  bare = figures.draw_lags('task', moments(lags('x', path=False)))
  assert 'forget gates alone' not in texts(bare)


@pytest.mark.parametrize(
  'models',
  [
    [flow(f'model {n} with a long label, learning_rate=0.01', 0.9)
     for n in range(15)],
    [flow('$1 alone_', 0.5, seeds=1)],
    [curves.Flow('diverged', {'h': np.full((2, T), np.nan)})],
    [curves.Flow('nothing', {'h': np.zeros((2, T))})],
    [curves.Flow('one step', {'h': np.ones((2, 1))})],
    [flow('layers', 0.5, states=('c', 'h_below', 'n', 'h'))],
  ],
  ids=lambda models: models[0].label.split()[0],
)  # fmt: skip
def test_anything_is_drawn_without_a_warning(models):
  first, again = (
    figures.draw_gradient_flow('task $', moments(*models)) for _ in range(2)
  )
  text = theme.svg(first, 'x')
  assert text == theme.svg(again, 'x') and models[0].label in text
  assert first.get_figwidth() == 7.5


def test_nothing_to_draw_is_refused():
  for draw in (figures.draw_gradient_flow, figures.draw_lags):
    for nothing in ([], [figures.Moment('now', [])]):
      with pytest.raises(ValueError, match="'task' has nothing to draw"):
        draw('task', nothing)
