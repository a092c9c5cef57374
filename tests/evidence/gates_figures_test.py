"""Pictures of gates: what is drawn, at any size, with what may be missing."""

import types
from typing import Any

import numpy as np
import pytest

from lstm_variants import tasks
from lstm_variants.evidence.gates import draw, figures, measure
from lstm_variants.plots import samples, theme
from lstm_variants.tasks import base

RNG = np.random.default_rng(0)


def make(
  time=12, units=5, names='ifo', off=(), c=True, classes=0
) -> tuple[Any, Any]:
  """Return a sequence and what a layer did, of a batch of two."""
  shape = 2, time, units
  trace = measure.Trace(
    gates={name: RNG.uniform(size=shape) for name in names},
    off=off,
    candidate=RNG.normal(size=shape) if names else None,
    keep=RNG.uniform(size=shape) if names else None,
    c=RNG.normal(size=shape) if c else None,
    h=RNG.normal(size=shape),
    outputs=RNG.normal(size=(2, time, max(classes, 1))),
  )
  mask = np.zeros(time)
  mask[-1] = 1
  if classes:
    axis = samples.Axis(tuple('abcdefghij'[:classes]), one_hot=True)
    inputs = np.eye(classes)[RNG.integers(0, classes, time)]
    sample = samples.Sample(inputs, np.ones(time, int), mask, axis, axis)
  else:
    inputs = np.stack((RNG.uniform(size=time), np.arange(time) == 1), axis=1)
    sample = samples.Sample(
      inputs,
      RNG.uniform(size=(time, 1)),
      mask,
      samples.Axis(('value', 'marker'), one_hot=False),
      samples.Axis(('sum',), one_hot=False),
    )
  return sample, trace


def labels(drawing):
  found = [axes.get_ylabel().replace('\n', ' ') for axes in drawing.axes]
  return [label for label in found if label]


def test_each_gate_and_state_has_a_map_on_one_time_axis():
  sample, trace = make()
  order = [3, 1, 4, 0, 2]
  drawing = figures.draw_sequence(
    't', sample, trace, sequence=1, marks=(1, 4), unit=4, order=order
  )
  assert labels(drawing) == [
    'input',
    'output',
    'input gate i',
    'forget gate f',
    'output gate o',
    'candidate g',
    'cell state c / max |c|',
    'hidden state h',
    'unit 4 gates',
    'unit 4 states',
  ]
  maps = {
    axes.get_ylabel(): axes.images[0] for axes in drawing.axes if axes.images
  }
  shown = maps['forget\ngate f']
  np.testing.assert_array_equal(shown.get_array(), trace.gates['f'][1].T[order])
  assert shown.get_clim() == (0, 1)
  cell: Any = maps['cell state\nc / max |c|'].get_array()
  np.testing.assert_allclose(np.abs(cell).max(axis=1), 1)
  lines = {
    line.get_label(): line for axes in drawing.axes for line in axes.lines
  }
  np.testing.assert_array_equal(
    lines['cell state c'].get_ydata(), trace.c[1, :, 4]
  )
  np.testing.assert_array_equal(
    lines['input gate i'].get_ydata(), trace.gates['i'][1, :, 4]
  )
  panels = [axes for axes in drawing.axes if axes.get_ylabel()]
  theme.png(drawing)
  assert {axes.get_xlim() for axes in panels} == {(-0.5, 11.5)}
  left = [axes.bbox.x0 for axes in panels]
  assert max(left) - min(left) < 1
  # Both marks stand in every panel.
  for axes in panels:
    data: list[Any] = [line.get_xdata() for line in axes.lines]
    steps = [list(one) for one in data]
    assert [1, 1] in steps and [4, 4] in steps


def test_a_gate_that_is_off_is_said_to_be():
  sample, trace = make(off=('f',))
  drawing = figures.draw_sequence('t', sample, trace, unit=0)
  texts = [text.get_text() for axes in drawing.axes for text in axes.texts]
  assert texts == ['forget gate f: none, it is 1 throughout']
  assert 'forget gate f' not in labels(drawing)


@pytest.mark.parametrize(
  'options',
  [
    {'names': (), 'c': False},
    {'names': 'zr', 'c': False, 'classes': 4},
    {'time': 1, 'units': 1},
    {'time': 3000, 'units': 200, 'classes': 10},
  ],
)
def test_other_cells_tasks_and_sizes_are_drawn(options):
  sample, trace = make(**options)
  drawing = figures.draw_sequence('a $long$ title', sample, trace, unit=0)
  text = theme.svg(drawing, 'salt')
  assert 'a $long$ title' in text
  boxes: list[Any] = [axes.get_tightbbox() for axes in drawing.axes]
  assert min(box.x0 for box in boxes) >= 0
  assert max(box.x1 for box in boxes) <= drawing.bbox.x1


def test_what_diverged_is_drawn_without_a_warning():
  sample, trace = make()
  trace.c[0, 3:] = np.nan
  trace.h[0] = np.nan
  trace.outputs[0] = np.inf
  theme.png(figures.draw_sequence('t', sample, trace, unit=1))


def test_averages_are_drawn_by_gate_and_mark():
  marks = np.array([[1, 4], [2, -1]])
  averages = {
    name: measure.aligned(RNG.uniform(size=(2, 12, 5)), marks, 3, 12)
    for name in ('input gate i', 'c')
  }
  drawing = figures.draw_aligned(
    't', averages, [4, 0], marks=('the first', 'the second')
  )
  assert len(drawing.axes) == 4
  xlabels = [axes.get_xlabel() for axes in drawing.axes[2:]]
  assert xlabels == ['steps from the first', 'steps from the second']
  line = drawing.axes[1].lines[1]
  np.testing.assert_array_equal(
    line.get_ydata(), averages['input gate i'].mean[1, :, 4]
  )
  theme.png(drawing)
  with pytest.raises(ValueError, match='no averages'):
    figures.draw_aligned('t', {}, [0])


def test_saturation_of_models_with_other_gates_stands_side_by_side():
  def found(names):
    gates = {name: RNG.uniform(size=(2, 9, 5)) for name in names}
    return {k: measure.saturation(v) for k, v in gates.items()}

  models = {'lstm': found('ifo'), 'gru': found('zr')}
  drawing = figures.draw_saturation('t', models)
  titles = [axes.get_title() for axes in drawing.axes if axes.get_title()]
  assert titles[0] == 'input gate i' and len(titles) == 5
  offsets: Any = drawing.axes[1].collections[0].get_offsets()
  np.testing.assert_allclose(offsets[:, 0], models['lstm']['f'].right)
  np.testing.assert_allclose(offsets[:, 1], models['lstm']['f'].left)
  theme.png(drawing)
  with pytest.raises(ValueError, match='no gates'):
    figures.draw_saturation('t', {'rnn': {}})


def test_time_constants_fall_and_the_endless_stand_above():
  models = {
    f'variant number {n} of fifteen': [[3.0, np.inf, 100.0, 0.0], [5.0, 1.0]]
    for n in range(15)
  }
  drawing = figures.draw_time_constants('t', models, lag=50)
  (axes,) = drawing.axes
  lines: Any = axes.lines
  inside, above, below = lines[:3]
  np.testing.assert_array_equal(inside.get_ydata(), [100, 3])
  np.testing.assert_array_equal(inside.get_xdata(), [37.5, 62.5])
  assert above.get_xdata() == [12.5] and above.get_ydata()[0] > 1
  assert below.get_xdata() == [87.5] and below.get_ydata()[0] < 0
  texts = [text.get_text() for text in axes.texts]
  assert texts == ['lag of the task: 50 steps', 'τ = ∞', 'τ = 0']
  theme.png(drawing)
  (legend,) = drawing.legends
  assert 0 < axes.bbox.y0 - legend.get_window_extent().y1 < 150
  assert axes.bbox.height > 250
  with pytest.raises(ValueError, match='no runs'):
    figures.draw_time_constants('t', {'m': []})


def test_the_numbers_of_a_projected_h_are_of_all_its_units():
  _, trace = make(time=12)
  trace = trace._replace(h=trace.h[..., :2])
  task = tasks.make_task('adding', length=12)
  inputs: Any = np.ones((2, 12, task.in_features))
  targets: Any = np.zeros((2, 12, task.out_features))
  mask: Any = np.ones((2, 12))
  batch = base.Batch(inputs, targets, mask)
  look = draw._Look('lstmp', batch, mask > 0, trace, np.arange(5.0))
  settings = types.SimpleNamespace(task=task)
  subject: Any = types.SimpleNamespace(
    task='adding', label='lstmp', settings=settings
  )
  rows = draw._draw_sequence(subject, look).rows
  of_h = [row[2:] for row in rows if row[1] == 'h']
  assert of_h == [
    (unit, step + 1, trace.h[0, step, unit])
    for unit in range(2)
    for step in range(12)
  ]
  units = [row[2] for row in rows if row[1] == 'c' and row[3] == 1]
  assert units == [4, 3, 2, 1, 0]
