"""Sequences as text and as pictures."""

import re

import numpy as np

from lstm_variants.plots import samples, theme


def _symbols(text: str, target: str, names: str = '.ab') -> samples.Sample:
  """Return a sample of one-character symbols; '-' is padding or unasked."""
  known = np.array([c != '-' for c in text])
  inputs = np.eye(len(names))[[names.find(c) for c in text]] * known[:, None]
  asked = np.array([c != '-' for c in target], float)
  targets = np.array([max(names.find(c), 0) for c in target])
  axis = samples.Axis(tuple(names), True)
  return samples.Sample(inputs, targets, asked, axis, axis)


def test_symbols_stand_above_their_targets_without_the_padding():
  text = samples.as_text(_symbols('ab.a---', '--.ba--'))
  assert text == '  input   a b . a\n  target      . b a'


def test_numbers_stand_below_each_other_and_targets_where_asked():
  sample = samples.Sample(
    np.array([[0.3, 1], [-0.82, 0], [0.1, -1], [0, 0]]),
    np.array([[0.0], [0], [0.4], [0]]),
    np.array([0.0, 0, 1, 0]),
    samples.Axis(('value', 'marker'), False),
    samples.Axis(('sum',), False),
  )
  assert samples.as_text(sample).splitlines() == [
    '  value    0.30 -0.82  0.10',
    '  marker      1     0    -1',
    '  target               0.40',
  ]


def test_sets_of_targets_are_written_together():
  axis = samples.Axis(('B', 'T', 'P'), True)
  sample = samples.Sample(
    np.eye(3)[[0, 1]],
    np.array([[0, 1, 1], [0, 0, 1.0]]),
    np.ones(2),
    axis,
    axis,
  )
  assert samples.as_text(sample) == '  input    B T\n  target  TP P'


def test_long_sequences_lose_their_middle_and_say_so():
  text = samples.as_text(_symbols('a' * 500, '-' * 499 + 'b'))
  assert '(380 more)' in text and text.count('a') == 120 + text.count('target')
  assert max(map(len, text.splitlines())) <= 80
  assert len(text.split('\n\n')) >= 3


def test_a_picture_has_a_panel_a_sample_and_the_rows_of_both_alphabets():
  sample = _symbols('ab.a', '--ba')
  other = sample._replace(out_axis=samples.Axis(('Q', 'a', 'R'), True))
  drawing = samples.draw('title $x$', [sample, other])
  assert len(drawing.axes) == 2
  rows = [text.get_text() for text in drawing.axes[1].get_yticklabels()]
  assert rows == ['.', 'a', 'b', 'Q', 'R']
  # Targets b and a of the first; R and a of the second.
  heights = [
    np.asarray(axes.lines[-1].get_ydata()).tolist() for axes in drawing.axes
  ]
  assert heights == [[2, 1], [4, 1]]
  assert re.search('title', theme.svg(drawing, 'salt'))


def test_a_picture_of_numbers_has_a_line_a_channel():
  sample = samples.Sample(
    np.ones((5, 2)),
    np.arange(5.0)[:, None],
    np.array([0, 0, 0, 1, 1.0]),
    samples.Axis(('value', 'marker'), False),
    samples.Axis(('sum',), False),
  )
  (axes,) = samples.draw('numbers', [sample]).axes
  assert [line.get_label() for line in axes.lines] == [
    'value',
    'marker',
    'target: sum',
  ]
  assert np.asarray(axes.lines[-1].get_xdata()).tolist() == [3, 4]
  assert np.asarray(axes.lines[-1].get_ydata()).tolist() == [3, 4]
