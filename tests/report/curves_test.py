"""Figures: what is drawn, and that many groups stay legible."""

import itertools
import math
import re
from typing import Any

import numpy as np
import pytest

from lstm_variants.plots import theme
from lstm_variants.report import curves
from lstm_variants.runs import grouping, results
from tests.report import study_fixture as fixture

ADDING, COPY = fixture.TASKS


def test_learning_curve_is_the_median_and_range_of_the_runs_still_there():
  runs = [{'id': 'a'}, {'id': 'b'}, {'id': 'c'}, {'id': 'silent'}]
  losses = {'a': [4, 3, None], 'b': [8, 1, None, 2], 'c': [7, None, math.inf]}
  metrics = results.Losses(
    {'run': name, 'sequences': 10 * (k + 1), 'loss': loss}
    for name, values in losses.items()
    for k, loss in enumerate(values)
  )
  curve = curves.learning_curve(runs, metrics)
  np.testing.assert_array_equal(curve.sequences, [10, 20, 30, 40])
  np.testing.assert_array_equal(curve.median, [7, 2, np.nan, 2])
  np.testing.assert_array_equal(curve.low, [4, 1, np.nan, 2])
  np.testing.assert_array_equal(curve.high, [8, 3, np.nan, 2])


def _groups(count, loss=0.1):
  groups = []
  for index in range(count):
    run = {
      'id': str(index),
      **fixture.run(ADDING, f'$m_{index}$', 0, 1600, loss),
    }
    groups.append(grouping.Group(ADDING, run['model'], {}, run['model'], [run]))
  metrics = results.Losses(
    row for group in groups for row in fixture.evaluations(group.runs[0])
  )
  return groups, metrics


def test_sixty_four_groups_are_told_apart_in_the_legend():
  groups, metrics = _groups(64)
  drawing = curves.draw_learning_curves(ADDING, groups, metrics, 0.2)
  text = theme.svg(drawing, 'salt')
  (legend,) = drawing.legends
  handles: list[Any] = list(legend.legend_handles)
  looks = {(h.get_color(), str(h._unscaled_dash_pattern)) for h in handles}
  assert len(looks) == 65
  # The colour changes first: few groups are told apart by it alone.
  few = [look['color'] for look in theme.line_looks(7)]
  assert len(set(few)) == 7
  axes = drawing.axes[0]
  assert legend.get_window_extent().y1 < axes.bbox.y0
  assert legend.get_window_extent().x1 <= drawing.bbox.x1
  assert axes.bbox.height > 250
  # Labels are words, not mathematics.
  assert '>$m_63$<' in text
  assert axes.get_yscale() == 'log'


def test_a_colour_is_a_model_s_and_a_dash_a_setting_s():
  models = [f'm{n}' for n in range(9)]
  pairs = [(model, rate) for model in models for rate in (0.1, 0.01)]
  looks = theme.model_looks(models, pairs)
  assert len({str(look) for look in looks}) == len(pairs)
  of_model: dict[str, set[str]] = {}
  for (model, _), look in zip(pairs, looks, strict=True):
    of_model.setdefault(model, set()).add(look['color'])
  assert all(len(colors) == 1 for colors in of_model.values())
  assert len(set().union(*of_model.values())) == 7
  few = theme.model_looks(models[:2], pairs[:4])
  assert [look['linestyle'] for look in few[:2]] == [
    look['linestyle'] for look in few[2:]
  ]
  # A task without the first model: the second one keeps its colour.
  assert theme.model_looks(models[:2], pairs[2:4][:1])[0] == looks[2]
  # Settings of one model alone are told apart by colours.
  alone = theme.model_looks(models, [('m0', n) for n in range(5)])
  assert len({look['color'] for look in alone}) == 5


# Machado, Oliveira & Fernandes, IEEE TVCG 15(6), 2009: how linear red, green
# and blue are seen without one kind of cones.
SEEN = {
  'protanopia': (
    (0.152286, 1.052583, -0.204868),
    (0.114503, 0.786281, 0.099216),
    (-0.003882, -0.048116, 1.051998),
  ),
  'deuteranopia': (
    (0.367322, 0.860646, -0.227968),
    (0.280085, 0.672501, 0.047413),
    (-0.011820, 0.042940, 0.968881),
  ),
  'tritanopia': (
    (1.255528, -0.076749, -0.178779),
    (-0.078411, 0.930809, 0.147602),
    (0.004733, 0.691367, 0.303900),
  ),
}
_XYZ = ((0.4337, 0.3762, 0.1899), (0.2126, 0.7152, 0.0722))
_XYZ += ((0.0177, 0.1095, 0.8726),)  # each divided by that of white


def _linear(color: str) -> np.ndarray:
  parts = np.array([int(color[at : at + 2], 16) for at in (1, 3, 5)]) / 255
  low = parts / 12.92
  return np.where(parts <= 0.04045, low, ((parts + 0.055) / 1.055) ** 2.4)


def _lab(linear: np.ndarray) -> np.ndarray:
  x, y, z = np.cbrt(np.array(_XYZ) @ np.clip(linear, 0, 1))
  return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize('seen', SEEN)
@pytest.mark.parametrize('dark', [False, True])
def test_colours_are_told_apart_without_one_kind_of_cones(seen, dark):
  colors = [theme.DARK.get(c, c) if dark else c for c in theme.PALETTE]
  places = [_lab(np.array(SEEN[seen]) @ _linear(color)) for color in colors]
  distances = [
    np.linalg.norm(a - b) for a, b in itertools.combinations(places, 2)
  ]
  assert min(distances) > 13


@pytest.mark.parametrize('loss', [None, 0.0, -1.0])
def test_figures_of_losses_without_a_logarithm(loss):
  groups, metrics = _groups(2, loss)
  if loss is None:
    metrics = results.Losses(())
  drawing = curves.draw_learning_curves(ADDING, groups, metrics, None)
  assert theme.svg(drawing, 'salt')
  assert drawing.axes[0].get_yscale() == 'linear'


def test_unsolved_runs_are_hollow_and_unreached_medians_not_drawn():
  runs = [
    fixture.run(ADDING, 'vanilla', 0, 1600, 0.1),
    fixture.run(ADDING, 'vanilla', 1, None, 0.1),
  ]
  group = grouping.Group(ADDING, 'vanilla', {}, 'vanilla', runs)
  axes = curves.draw_successes(ADDING, [group], {'vanilla': math.inf}).axes[0]
  dots: list[Any] = list(axes.collections)
  solved, unsolved = dots  # and no line for the median
  assert solved.get_offsets()[:, 0].tolist() == [1600]
  assert unsolved.get_offsets()[:, 0].tolist() == [fixture.BUDGET]
  assert len(solved.get_facecolors()) == 1
  assert len(unsolved.get_facecolors()) == 0
  drawing = curves.draw_successes(ADDING, [group], {'vanilla': 1600.0})
  assert len(drawing.axes[0].collections) == 3


@pytest.mark.parametrize(
  'losses, told',
  [
    ((2.5, 4.2), {'3', '4'}),
    ((2.61, 2.83), {'2.7', '2.8'}),
    ((0.6, 7), {'1', '2', '5'}),
    ((3e-4, 0.2), {'0.001', '0.01', '0.1'}),
  ],
)
def test_ticks_of_losses_are_plain_numbers(losses, told):
  groups, _ = _groups(1)
  metrics = results.Losses(
    {'run': '0', 'sequences': 100 * n, 'loss': loss}
    for n, loss in enumerate(losses)
  )
  drawing = curves.draw_learning_curves(ADDING, groups, metrics, None)
  text = theme.svg(drawing, 'salt')
  words = set(re.findall(r'>([^<>]+)</text>', text))
  assert told <= words
  assert not any('×' in word for word in words)
