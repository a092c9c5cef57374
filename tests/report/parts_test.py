"""The pieces of a report: settings, titles, answers, the best, the curves."""

from collections.abc import Mapping
import json
import math
from typing import Any

from matplotlib import text as text_lib
import numpy as np
import pytest

from lstm_variants.plots import theme
from lstm_variants.report import (
  answer,
  best,
  comparison,
  grids,
  parts,
  runs_table,
  series,
  settings,
  tables,
  write,
)
from lstm_variants.runs import equal_training, grouping, results
from tests.report import study_fixture as fixture

ADDING, COPY = fixture.TASKS
STUDY: dict[str, Any] = {'tasks': fixture.TASKS, 'name': 'a', 'runs': []}


def _named(runs: list[dict]) -> list[dict]:
  return [
    {'id': f'run{place}', 'population': 'p', **run}
    for place, run in enumerate(runs)
  ]


def _split(runs: list[dict]) -> list[parts.Part]:
  groups = grouping.group_runs(fixture.TASKS, runs)
  rows = comparison.compare(fixture.TASKS, runs, 'vanilla')
  return parts.split(STUDY, runs, groups, rows)


def _best(runs: list[dict]) -> Mapping[str, best.Best]:
  tables = grouping.tabulate(fixture.TASKS, runs)
  standings = equal_training.stand(runs, tuple)
  return best.compare(tables, 'vanilla', standings)


def _run(
  seed: int, rate: float | None, loss: float, success=1600, model='vanilla'
):
  config = fixture.config(ADDING, model, seed, learning_rate=rate)
  return fixture.run(ADDING, model, seed, success, loss, config=config)


def test_settings_are_those_of_the_runs_not_of_the_study():
  runs = _named([_run(0, 0.01, 0.1), _run(1, 0.005, 0.1)])
  known = settings.values(runs)
  assert known[settings.LEARNING_RATE] == [0.01, 0.005]
  assert known['model.hidden_features'] == [32]
  text, _ = settings.of_group(runs, settings.LEARNING_RATE)
  assert text == '0.005, 0.01'
  assert 'learning rate' not in settings.common(runs, known)
  assert 'hidden features 32' in settings.common(runs, known)
  del runs[0]['config']['model']['hidden_features']
  assert 'hidden' not in settings.common(runs, settings.values(runs))
  assert settings.columns(runs)[0] == settings.LEARNING_RATE


def test_a_setting_that_some_runs_leave_open_is_told_and_sorts():
  limits = (None, 1.0, True, 'none at all', [1])
  runs = _named([_run(seed, 0.01, 0.1) for seed, _ in enumerate(limits)])
  for run, limit in zip(runs, limits, strict=True):
    run['config']['optimizer']['clip_norm'] = limit
  assert [settings.of_group([run], 'optimizer.clip_norm') for run in runs] == [
    *(('none', 'none'), ('1.0', '1.0'), ('yes', 'yes')),
    *(('none at all', 'none at all'), ('[1]', '[1]')),
  ]
  (part, *_) = _split(runs)
  assert '<td data-sort="none">none</td>' in runs_table.render(part)


def test_a_setting_that_no_float_holds_sorts_last():
  runs = _named([_run(0, 0.01, 0.1)])
  for number, key in ((10**400, 'Infinity'), (-(10**400), '-Infinity')):
    runs[0]['config']['model']['hidden_features'] = number
    assert settings.of_group(runs, 'model.hidden_features')[1] == key


@pytest.mark.parametrize(
  'values, text',
  [
    ([], '—'),
    ([None], 'none'),
    ([True, False], 'yes, no'),
    ([16, 8], '8, 16'),
    ([1e-4 * n for n in range(1, 31)], '0.0001 to 0.003 (30 values)'),
    (['a', 'b', 'c', 'd', 'e', 'f'], 'a, b, c, d and 2 more'),
    ([2000], '2,000'),
  ],
)
def test_values_of_a_setting_in_words(values, text):
  assert settings.several(values) == text


def test_tasks_with_equal_titles_are_told_apart_by_their_labels():
  runs = _named([_run(0, 0.01, 0.1), fixture.run(COPY, 'vanilla', 0, 1, 0.1)])
  assert [part.title for part in _split(runs)] == [
    'Adding, 50 steps',
    'Copy, 20 steps',
  ]
  for run in runs:
    run['config']['task'] = {'name': 'adding', 'length': 50}
  titles = [part.title for part in _split(runs)]
  assert titles == [f'Adding, 50 steps ({task})' for task in fixture.TASKS]
  for run in runs:
    run['config']['task'] = 'nothing that is recorded'
  assert [part.title for part in _split(runs)] == [ADDING, COPY]


@pytest.mark.parametrize(
  'solved, expected',
  [
    ((1600, 3200, 3200), 'All 6 runs solved it. Fastest: <strong>gru</strong>'),
    (
      (None, None, None),
      '3 of 6 runs solved it. Fastest: <strong>gru</strong>, half of the runs '
      'within 1,600 training sequences',
    ),
  ],
)
def test_the_answer_in_words(solved, expected):
  runs = _named(
    [_run(seed, 0.01, 0.1, success) for seed, success in enumerate(solved)]
    + [_run(seed, 0.01, 0.01, 1600, 'gru') for seed in range(3)]
  )
  (part,) = _split(runs)
  text = answer.paragraph(part, 'vanilla')
  assert expected in text and 'No run diverged.' in text
  assert 'Lowest loss, after 6,400 sequences: <strong>gru</strong>' in text


def test_colours_are_those_of_the_models_order_in_the_study():
  runs = _named(
    [_run(0, 0.01, 0.1, model=model) for model in ('gru', 'vanilla')]
  )
  (part,) = _split(runs)
  assert [row.model for row in part.rows] == ['vanilla', 'gru']
  colors = [look['color'] for look in part.looks]
  assert colors == [theme.PALETTE[1], theme.PALETTE[0]]


def test_the_answer_where_nobody_solved_it():
  (part,) = _split(_named([_run(seed, 0.01, 0.1, None) for seed in range(3)]))
  text = answer.paragraph(part, 'vanilla')
  assert 'None of 3 runs solved it.' in text and 'Fastest' not in text


def _eight(model: str, success, loss) -> list[dict]:
  """Eight seeds of a model; those of no loss diverged."""
  runs = []
  for seed in range(8):
    own = loss(seed)
    runs.append(_run(seed, 0.01, own, success, model))
    if own is None:
      runs[-1]['status'] = 'diverged'
  return runs


@pytest.mark.parametrize(
  'success, losses, expected',
  [
    ((1600, None), (0.1, 0.1), 'beyond chance: slower: gru (above '),
    ((None, 1600), (0.1, 0.1), 'beyond chance: faster: gru (below '),
    ((None, None), (-1, -5), 'beyond chance: lower loss: gru (-4.96 beside '),
    ((None, None), (-5, -1), 'beyond chance: higher loss: gru (-0.965 beside '),
  ],
)
def test_a_difference_without_a_ratio_is_beyond_chance_too(
  success, losses, expected
):
  sides = zip(('vanilla', 'gru'), success, losses, strict=True)
  runs = [
    run
    for model, at, loss in sides
    for run in _eight(model, at, lambda seed, loss=loss: loss + seed / 100)
  ]
  (part,) = _split(_named(runs))
  text = answer.paragraph(part, 'vanilla')
  assert expected in text and 'no difference' not in text


def test_the_answer_says_what_was_not_tested_and_what_few_runs_say():
  whole = _eight('vanilla', None, lambda seed: 0.1 + seed / 100)
  lucky = _eight('gru', None, lambda seed: None if seed else 0.01)
  (part,) = _split(_named(whole + lucky))
  text = answer.paragraph(part, 'vanilla')
  assert 'Not tested beside vanilla: gru.' in text
  assert '<strong>gru (in 1 of its 8 runs)</strong>, 0.01.' in text
  runs = [_run(seed, rate, rate) for rate in (0.1, 1.0) for seed in range(2)]
  (part,) = _split(_named(runs))
  text = answer.paragraph(part, 'vanilla')
  assert 'were not tested: all rows are of vanilla.' in text
  assert 'Lowest loss, after 6,400 sequences: <strong>vanilla (learning' in text


def test_the_answer_of_one_model_ranks_nothing():
  (part,) = _split(_named([_run(seed, 0.01, 0.1) for seed in range(2)]))
  text = answer.paragraph(part, 'vanilla')
  assert 'Solved: half of the runs within 1,600 training sequences.' in text
  assert 'Loss, after 6,400 sequences: 0.1.' in text
  assert 'Fastest' not in text and 'Lowest' not in text


def test_rows_that_are_alike_are_named_together():
  runs = [
    _run(seed, 0.01, 0.1, None if seed else 1600, model)
    for model in ('vanilla', 'gru')
    for seed in range(3)
  ]
  (part,) = _split(_named(runs))
  text = answer.paragraph(part, 'vanilla')
  assert 'often <strong>vanilla (1 of 3), gru (1 of 3)</strong>' in text
  assert 'sequences: <strong>vanilla, gru</strong>, 0.1.' in text


def test_every_row_has_its_place_among_the_runs(monkeypatch):
  monkeypatch.setattr(runs_table, 'MOST', 4)
  runs = [
    _run(seed, 0.01, 0.1, model=model)
    for model in ('vanilla', 'gru', 'simple_rnn')
    for seed in range(4)
  ]
  (part,) = _split(_named(runs))
  html = runs_table.render(part)
  assert html.count('<tr id=') == 3 and html.count('<code>run') == 4
  assert '4 of 12 runs' in html


def _wide(hidden: int, **rest) -> dict:
  run = _run(**rest)
  run['config']['model']['hidden_features'] = hidden
  return run


def test_the_best_of_several_widths_are_told_apart():
  runs = [
    _wide(hidden, seed=seed, rate=rate, loss=rate)
    for hidden in (32, 64)
    for rate in (0.01, 0.1)
    for seed in range(4)
  ]
  chosen = _best(_named(runs))[ADDING]
  html = grids.best(chosen, 'vanilla')
  assert 'hidden features 32' in html and 'hidden features 64' in html


def test_a_heat_map_leaves_no_row_out():
  runs = [
    _run(seed, rate, 0.1) for rate in (0.1, None, 0.01) for seed in range(2)
  ]
  (part,) = _split(_named(runs))
  html = grids.heat_map(part)
  assert html.count('2 of 2 solved') == 3
  heads = [html.index(f'>{text} <small>') for text in ('0.01', '0.1', 'none')]
  assert heads == sorted(heads)


def test_a_long_label_leaves_room_in_a_figure():
  assert theme.shortened('gru') == 'gru'
  label = theme.shortened('m' * 100 + 'n' * 100)
  assert label == 'm' * 24 + '…' + 'n' * 23
  runs = _named(
    [_run(0, 0.01, 0.1, model=m) for m in ('vanilla', 'model_' * 33)]
  )
  drawings = write.draw(_split(runs), _losses(runs, 2))
  for drawing in drawings.values():
    drawing.draw_without_rendering()
    (axes,) = drawing.axes
    assert axes.get_position().width > 0.4
    (title,) = [
      t for t in drawing.findobj(text_lib.Text) if 'Adding' in t.get_text()
    ]
    assert title.get_window_extent().x1 < drawing.bbox.width


def test_the_best_settings_are_chosen_by_half_of_the_seeds_and_told_of_others():
  # At 0.1 the seeds that choose are lucky.
  losses = {0.01: [0.02, 0.02, 0.02, 0.02], 0.1: [0.01, 0.01, 0.5, 0.5]}
  runs = _named(
    [
      _run(seed, rate, loss)
      for rate, own in losses.items()
      for seed, loss in enumerate(own)
    ]
  )
  chosen = _best(runs)[ADDING]
  assert chosen.choosers == [0, 1] and chosen.candidates == [2]
  (row,) = chosen.rows
  assert row.runs == 2 and math.isclose(row.loss.estimate, 0.5)
  assert settings.of_group(chosen.groups[0].runs, settings.LEARNING_RATE) == (
    '0.1',
    '0.1',
  )


def test_where_a_setting_has_one_run_its_own_number_is_told_and_marked():
  runs = _named([_run(0, rate, rate) for rate in (0.03, 0.01, 0.02)])
  chosen = _best(runs)[ADDING]
  assert chosen.choosers == [] and chosen.candidates == [3]
  assert chosen.rows[0].loss.estimate == 0.01


def test_a_setting_that_diverged_is_never_the_best_of_those_that_did_not():
  losses = {1: 0.01, 2: 0.1}
  runs = _named(
    [_run(seed, rate, losses[rate]) for rate in losses for seed in range(4)]
  )
  runs[0].update(status='diverged', final={'loss': None})
  chosen = _best(runs)[ADDING]
  assert chosen.choosers == [0, 1]
  text, _ = settings.of_group(chosen.groups[0].runs, settings.LEARNING_RATE)
  assert text == '2'


def test_without_several_settings_nothing_is_chosen():
  runs = _named([_run(seed, 0.01, 0.1) for seed in range(3)])
  assert _best(runs) == {}


def _losses(runs: list[dict], count: int) -> results.Losses:
  return results.Losses(
    {'run': run['id'], 'sequences': 10 * k, 'loss': None if k == 1 else 1 / k}
    for run in runs
    for k in range(1, count + 1)
  )


def test_the_data_of_curves_are_those_of_the_figure(monkeypatch):
  runs = _named([_run(seed, 0.01, 0.1) for seed in range(3)])
  (part,) = _split(runs)
  data = json.loads(
    series.encode(part, _losses(runs, 4), series.Budget([part]))
  )
  (row,) = data['rows']
  assert row['x'] == [10, 20, 30, 40]
  assert row['median'] == [None, 0.5, 0.3333, 0.25]
  assert [run['y'] for run in row['runs']] == [row['median']] * 3
  assert [run.get('x') for run in row['runs']] == [row['x'], None, None]
  # 2 ms an update of 32 sequences.
  assert math.isclose(row['rate'], 0.002 / 32)
  assert series.left_out(part, series.Budget([part])) == ''


def test_curves_of_many_runs_stay_small_and_say_what_they_leave_out(
  monkeypatch,
):
  monkeypatch.setattr(series, '_MOST', 400)
  runs = _named([_run(seed, 0.01, 0.1) for seed in range(40)])
  (part,) = _split(runs)
  budget = series.Budget([part])
  data = json.loads(series.encode(part, _losses(runs, 200), budget))
  (row,) = data['rows']
  assert len(row['runs']) == budget.runs < 40
  assert (len(row['runs']) + 3) * len(row['x']) <= 400
  assert row['x'][0] == 10 and row['x'][-1] == 2000
  assert f'first {budget.runs} runs' in series.left_out(part, budget)


def test_each_run_has_its_own_evaluations():
  runs = _named([_run(seed, 0.01, 0.1) for seed in range(3)])
  rows = [
    {'run': run['id'], 'sequences': 10 * k, 'loss': float(k)}
    for k in range(3)
    for run in runs[::-1]
  ]
  losses = results.Losses(rows)
  each = losses.each(['run2', 'run0', 'nobody'])
  assert sorted(each) == ['run0', 'run2']
  for name, (sequences, values) in each.items():
    np.testing.assert_array_equal(sequences, losses.of([name])[0])
    np.testing.assert_array_equal(values, losses.of([name])[1])
  assert losses.each([]) == {}


@pytest.mark.parametrize(
  'value, text',
  [(19712.3, '19,700'), (999.6, '1,000'), (0.00012345, '0.000123')]
  + [(1.5, '1.5'), (math.nan, '—'), (math.inf, 'inf'), (2.5e15, '2.5e+15')],
)
def test_numbers_have_commas_and_no_powers_where_they_are_read(value, text):
  assert tables.number(value) == text


@pytest.mark.parametrize(
  'seconds, text',
  [(0.4, '0.4 s'), (89, '89 s'), (600, '10 min'), (7200, '2 h')],
)
def test_times_are_told_in_the_unit_that_fits(seconds, text):
  assert tables.duration(seconds) == text
