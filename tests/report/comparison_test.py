"""Grouping, labels and comparisons on run directories written by hand."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
import scipy.stats

from lstm_variants.report import comparison, tables
from lstm_variants.runs import equal_training, grouping, results, success_times
from lstm_variants.statistics import intervals, speed
from tests.report import study_fixture as fixture

ADDING, COPY = fixture.TASKS


def _compare(tmp_path, runs, baseline='vanilla'):
  fixture.write(tmp_path / 'study', runs)
  study = results.read_study(str(tmp_path / 'study'))
  runs = results.read_runs(str(tmp_path / 'study'))
  return comparison.compare(
    study['tasks'],
    runs,
    baseline,
    lambda: results.read_metrics(str(tmp_path / 'study')),
  )


def _grid(rates=(0.1, 0.01), models=('peephole', 'vanilla'), **optimizer):
  runs = []
  for seed in range(3):
    for model in models:
      for rate in rates:
        run = fixture.run(ADDING, model, seed, 1600, rate + seed / 100)
        run['config'] = fixture.config(
          ADDING, model, seed, learning_rate=rate, **optimizer
        )
        runs.append(run)
  return runs


def test_runs_that_differ_by_seed_alone_share_a_row(tmp_path):
  rows = _compare(tmp_path, fixture.example())
  assert [(row.task, row.label, row.runs) for row in rows] == [
    (ADDING, 'vanilla', 8),
    (ADDING, 'peephole', 8),
    (ADDING, 'vanilla <no input_gate>', 8),
    (COPY, 'vanilla', 2),
    (COPY, 'peephole', 1),
  ]


def test_varying_fields_are_appended_and_the_baseline_comes_first(tmp_path):
  rows = _compare(tmp_path, _grid())
  assert [row.label for row in rows] == [
    'vanilla, learning_rate=0.1',
    'vanilla, learning_rate=0.01',
    'peephole, learning_rate=0.1',
    'peephole, learning_rate=0.01',
  ]
  assert [row.is_baseline for row in rows] == [True, True, False, False]
  assert [row.model for row in rows] == ['vanilla'] * 2 + ['peephole'] * 2


def test_ambiguous_fields_keep_their_full_names(tmp_path):
  runs = _grid()
  for run in runs:
    run['config']['schedule'] = {
      'learning_rate': 1,
      'kind': 'cosine' if run['model'] == 'vanilla' else None,
    }
  runs[0]['config']['schedule']['learning_rate'] = 2
  rows = _compare(tmp_path, runs)
  assert (
    'peephole, optimizer.learning_rate=0.01, schedule.learning_rate=1, '
    'kind=null'
  ) in [row.label for row in rows]


def test_toggles_and_task_fields_do_not_enter_labels(tmp_path):
  runs = [
    fixture.run(ADDING, model, seed, None, 0.1 * seed)
    for seed in (1, 2)
    for model in ('vanilla', 'vanilla input_gate=off')
  ]
  runs[0]['config']['task']['note'] = 'x'
  assert runs[0]['config']['model'] != runs[1]['config']['model']
  rows = _compare(tmp_path, runs)
  assert [row.label for row in rows] == ['vanilla', 'vanilla input_gate=off']


def test_when_a_run_was_looked_at_and_saved_does_not_enter_labels(tmp_path):
  runs = [
    fixture.run(ADDING, model, seed, None, 0.1 * seed**power)
    for model, power in (('vanilla', 1), ('peephole', 2))
    for seed in (1, 2)
  ]
  for row in runs[2:]:
    row['config']['training'] |= {'save_interval': 7, 'evaluation_interval': 3}
  rows = _compare(tmp_path, runs)
  assert [row.label for row in rows] == ['vanilla', 'peephole']
  assert not math.isnan(rows[1].ratio.p_value)


def test_what_only_some_runs_have_enters_no_label_if_it_is_the_same(tmp_path):
  runs = [
    fixture.run(ADDING, model, seed, None, 0.1 * seed)
    for model in ('vanilla', 'peephole')
    for seed in (1, 2)
  ]
  for row in runs[2:]:
    row['config']['optimizer'] |= {'sharpness': 2.0}
  rows = _compare(tmp_path, runs)
  assert [row.label for row in rows] == ['vanilla', 'peephole']
  runs[3]['config']['optimizer'] |= {'sharpness': 3.0}
  labels = [row.label for row in _compare(tmp_path / 'two', runs)]
  assert labels == [
    'vanilla',
    'peephole, sharpness=2.0',
    'peephole, sharpness=3.0',
  ]


def test_how_long_a_run_was_trained_enters_its_label(tmp_path):
  runs = [
    fixture.run(ADDING, 'vanilla', seed, None, 0.1 * seed) for seed in (1, 2)
  ]
  for run, updates in zip(runs, (5, 7), strict=True):
    run['config']['training'] |= {'updates': updates}
  labels = [row.label for row in _compare(tmp_path, runs)]
  assert len(labels) == 2 and 'vanilla, updates=7' in labels


def test_groups_are_compared_with_the_baseline_of_equal_other_fields(tmp_path):
  rows = {row.label: row for row in _compare(tmp_path, _grid())}
  for rate in (0.1, 0.01):
    row = rows[f'peephole, learning_rate={rate}']
    # Equal losses at equal rates: no difference at all.
    assert row.ratio.ratio.estimate == pytest.approx(1)
    assert math.isnan(rows[f'vanilla, learning_rate={rate}'].ratio.p_value)


def test_no_p_value_without_a_baseline_group_of_equal_fields(tmp_path):
  runs = [
    *_grid((0.1,), ('vanilla',)),
    *_grid((0.01,), ('peephole',)),
    fixture.run(COPY, 'peephole', 0, None, 0.1),
    fixture.run(COPY, 'peephole', 1, None, 0.2),
  ]
  rows = _compare(tmp_path, runs)
  assert len(rows) == 3
  for row in rows:
    assert math.isnan(row.ratio.p_value) and math.isnan(row.loss_holm)
    assert math.isnan(row.speed.p_value) and math.isnan(row.speed_holm)


def test_numbers_of_a_row_come_from_its_runs(tmp_path):
  rows = _compare(tmp_path, fixture.example())
  vanilla, peephole, failing = rows[:3]
  losses = [1e-4 * k for k in range(1, 9)]
  assert (vanilla.solved, vanilla.diverged, vanilla.finite) == (8, 0, 8)
  assert vanilla.loss == intervals.geometric_interval(losses)
  assert vanilla.median.estimate == 1600 + 400 * 3
  assert vanilla.trained == (fixture.BUDGET, fixture.BUDGET)
  assert vanilla.params_in_use == 4480
  assert vanilla.milliseconds == pytest.approx(2)
  # The last peephole diverged: its pair is left out.
  assert peephole.ratio.ratio.estimate == pytest.approx(2)
  assert peephole.ratio.pairs == 7
  others = [0.16 + seed / 1000 for seed in range(8)]
  p = scipy.stats.ttest_rel(np.log(others), np.log(losses))[1]
  assert failing.ratio.p_value == pytest.approx(p)
  assert failing.ratio.pairs == 8
  # The ratios of the other comparison are all equal: none is counted.
  assert failing.loss_holm == pytest.approx(p)
  # None of eight against all of eight, in pairs.
  assert failing.speed.p_value == pytest.approx(2 / 2**8)
  assert failing.speed_holm == pytest.approx(2 * failing.speed.p_value)
  assert failing.solved == 0
  # Its eight runs, all given up at 6400, tell that the median is above that.
  assert failing.median == (math.inf, 6400, math.inf)
  assert failing.trained == (fixture.BUDGET, fixture.BUDGET)


def test_diverged_runs_are_counted_and_leave_the_loss(tmp_path):
  runs = [
    fixture.run(ADDING, 'vanilla', seed, 1600, 0.25 * (seed + 1))
    for seed in range(3)
  ]
  # Solved before it diverged: it is both.
  runs[2].update(status='diverged', final={'loss': None})
  (row,) = _compare(tmp_path, runs)
  assert (row.runs, row.solved, row.diverged, row.finite) == (3, 3, 1, 2)
  assert row.loss.estimate == pytest.approx(math.sqrt(0.25 * 0.5))


def test_a_diverged_run_is_censored_where_the_longest_run_ended(tmp_path):
  diverged = {'status': 'diverged', 'sequences': 32}
  runs = [
    fixture.run(ADDING, 'vanilla', 0, 1600, 0.1),
    fixture.run(ADDING, 'vanilla', 1, None, None, **diverged),
    fixture.run(ADDING, 'vanilla', 2, None, None, **diverged),
  ]
  # Censored at 32 they would leave one run, solved: a median of 1600.
  (row,) = _compare(tmp_path, runs)
  assert row.median.estimate == math.inf


def test_an_unsolved_run_is_censored_where_it_ended(tmp_path):
  runs = [
    fixture.run(ADDING, 'vanilla', 0, 1600, 0.1),
    fixture.run(ADDING, 'vanilla', 1, None, 0.1, sequences=800),
    fixture.run(ADDING, 'vanilla', 2, None, 0.1, sequences=800),
  ]
  (row,) = _compare(tmp_path, runs)
  assert row.median.estimate == 1600


def test_unknown_timing_is_nan(tmp_path):
  runs = [
    fixture.run(ADDING, 'vanilla', seed, 1600, 0.1, seconds_per_update=None)
    for seed in range(2)
  ]
  (row,) = _compare(tmp_path, runs)
  assert math.isnan(row.milliseconds)


def test_an_unknown_baseline_is_refused_with_the_nearest(tmp_path):
  with pytest.raises(grouping.BaselineError) as error:
    _compare(tmp_path, fixture.example(), 'vanila')
  assert str(error.value) == (
    "--baseline='vanila': no runs of that model; nearest: 'vanilla'; "
    'choices: vanilla, peephole, vanilla <no input_gate>'
  )
  assert isinstance(error.value, ValueError)


def test_without_a_word_the_baseline_is_vanilla_or_the_first_model():
  lines = []
  runs = [fixture.run(ADDING, name, 0, 1600, 0.1) for name in ('gru', 'np')]
  assert grouping.choose_baseline(runs, None, lines.append) == 'gru'
  (line,) = lines
  assert line.startswith('baseline: gru, the first model, as no run is of van')
  assert line.endswith(', or np')
  runs.append(fixture.run(ADDING, 'vanilla', 0, 1600, 0.1))
  assert grouping.choose_baseline(runs, None, lines.append) == 'vanilla'
  assert grouping.choose_baseline(runs, 'np', lines.append) == 'np'
  assert lines == [line]
  with pytest.raises(grouping.BaselineError, match="'vanila'.*'vanilla'"):
    grouping.choose_baseline(runs, 'vanila', lines.append)


def test_the_frozen_loss_of_a_diverged_run_does_not_count(tmp_path):
  runs = [
    fixture.run(ADDING, 'vanilla', seed, 1600, 0.1 + seed / 100)
    for seed in range(3)
  ]
  runs.append(fixture.run(ADDING, 'vanilla', 3, None, 9.0, status='diverged'))
  (row,) = _compare(tmp_path, runs)
  assert (row.runs, row.diverged, row.finite) == (4, 1, 3)
  assert row.loss.estimate == pytest.approx((0.1 * 0.11 * 0.12) ** (1 / 3))


def _trials(count: int, **fields) -> list[dict]:
  """Return trials of a random search of two models."""
  rng = np.random.default_rng(0)
  return [
    {
      **fixture.run(task, model, seed, None, 0.1),
      'config': fixture.config(
        task,
        model,
        seed,
        learning_rate=float(rng.uniform()),
        momentum=float(rng.uniform()),
        **{name: values[seed % len(values)] for name, values in fields.items()},
      ),
    }
    for task in list(fixture.TASKS)[:1]
    for model in ('vanilla', 'peephole')
    for seed in range(count)
  ]


def test_the_trials_of_a_random_search_are_one_group_of_each_model():
  runs = _trials(12, eps=(1, 2, 3, 4), b1=(0.1, 0.2))
  groups = grouping.group_runs([], runs)
  # A field of few values is told: those are compared.
  assert [(group.label, len(group.runs)) for group in groups] == [
    (f'{model}, b1={value} (search over learning_rate, momentum, eps)', 6)
    for model in ('vanilla', 'peephole')
    for value in (0.1, 0.2)
  ]
  apart = grouping.group_runs([], runs, pooled=False)
  assert len(apart) == len(runs)


def _rates(values, seeds=1):
  return [
    {
      **fixture.run(ADDING, model, seed, None, 0.1),
      'config': fixture.config(
        ADDING, model, seed, learning_rate=float(value), momentum=momentum
      ),
    }
    for momentum in (0.5, 0.9)
    for model in ('vanilla', 'peephole')
    for value in values
    for seed in range(seeds)
  ]


def test_a_random_search_over_one_field_is_a_row():
  runs = _rates(10 ** np.random.default_rng(0).uniform(-4, -1, 50))
  assert [
    (group.label, len(group.runs)) for group in grouping.group_runs([], runs)
  ] == [
    (f'{model}, momentum={momentum} (search over learning_rate)', 50)
    for momentum in (0.5, 0.9)
    for model in ('vanilla', 'peephole')
  ]
  assert len(grouping.group_runs([], runs, pooled=False)) == len(runs)


def test_the_trials_of_a_search_that_says_so_are_a_row_however_few():
  runs = _rates([0.1, 0.2, 0.4], seeds=2)
  study: dict[str, Any] = {
    'search': {'fields': {'optimizer.learning_rate': {}}}
  }
  searched = grouping.searched_fields(study)
  label = '{}, momentum={} (search over learning_rate)'
  rows = [
    (label.format(model, momentum), 6)
    for momentum in (0.5, 0.9)
    for model in ('vanilla', 'peephole')
  ]
  groups = grouping.group_runs([], runs, searched=searched)
  assert [(group.label, len(group.runs)) for group in groups] == rows
  apart = grouping.group_runs([], runs, pooled=False, searched=searched)
  assert len(apart) == 3 * len(groups)
  # Without a record few values by hand are a grid.
  assert grouping.searched_fields({}) is None
  assert len(grouping.group_runs([], runs)) == 3 * len(groups)
  # Halving decides how long a trial trains.
  study['search']['halving'] = {'first': 8, 'eta': 2}
  for run in runs:
    rate = run['config']['optimizer']['learning_rate']
    run['config']['training'] = {'updates': 8 if rate < 0.3 else 16}
  searched = grouping.searched_fields(study)
  groups = grouping.group_runs([], runs, searched=searched)
  assert [(group.label, len(group.runs)) for group in groups] == rows


@pytest.mark.parametrize(
  'values',
  [
    np.linspace(0.001, 0.1, 50),
    np.geomspace(1e-5, 1, 50),
    [digit * 10.0**power for power in range(-9, 0) for digit in (1, 2, 5)],
  ],
)
def test_many_even_values_of_one_field_are_a_grid(values):
  runs = _rates(values, seeds=2)
  assert len(grouping.group_runs([], runs)) == 4 * len(values)
  # A few values by hand are one, however they lie.
  runs = _rates([0.1, 0.11, 0.5, 3.0, 7.0], seeds=2)
  assert len(grouping.group_runs([], runs)) == 4 * 5


def test_runs_that_share_parts_of_their_configs_are_grouped_as_others():
  runs = fixture.example()
  sections: dict[str, Any] = {}
  shared = [
    {
      **run,
      'config': {
        name: sections.setdefault(repr((name, part)), part)
        for name, part in run['config'].items()
      },
    }
    for run in runs
  ]
  assert grouping.group_runs([], shared) == grouping.group_runs([], runs)


def test_a_grid_is_no_random_search():
  grid = [
    {
      **fixture.run(task, 'vanilla', 0, None, 0.1),
      'config': fixture.config(
        task, 'vanilla', 0, learning_rate=rate, momentum=momentum
      ),
    }
    for task in list(fixture.TASKS)[:1]
    for rate in (0.1, 0.2, 0.3, 0.4)
    for momentum in (0.5, 0.6, 0.7, 0.8)
  ]
  assert len(grouping.group_runs([], grid)) == len(grid)


# Equal training.


def _unequal(**short) -> list[dict]:
  """Return runs of the faster gru, which stopped early, and of vanilla.

  Losses halve from one evaluation to the next: after 3,200 sequences gru has
  2.7 and vanilla 5.2, at whose end after 6,400 it has 2.6.
  """
  runs = []
  for seed in range(3):
    factor = 1 + seed / 100
    runs += [
      fixture.run(ADDING, 'vanilla', seed, 6400, 1.3 * factor**2),
      fixture.run(
        ADDING, 'gru', seed, 3200, 2.7 * factor, sequences=3200, **short
      ),
    ]
  return runs


def test_a_row_that_stopped_early_is_compared_where_it_stopped(tmp_path):
  vanilla, gru = _compare(tmp_path, _unequal())
  assert vanilla.compared_at == gru.compared_at == 3200
  assert vanilla.trained == (6400, 6400) and gru.trained == (3200, 3200)
  # The other way round than at their ends.
  factors = np.exp(np.mean(np.log([1, 1.01, 1.02])))
  assert vanilla.loss.estimate == pytest.approx(5.2 * factors**2)
  assert vanilla.final.estimate == pytest.approx(1.3 * factors**2)
  assert gru.loss.estimate == gru.final.estimate == pytest.approx(2.7 * factors)
  assert gru.ratio.ratio.estimate < 1 and gru.ratio.pairs == 3
  pairs = [(2.7 * f, 5.2 * f**2) for f in (1, 1.01, 1.02)]
  logs = np.log(pairs)
  p = scipy.stats.ttest_rel(logs[:, 0], logs[:, 1])[1]
  assert gru.ratio.p_value == pytest.approx(p)


def _looked_at(model: str, seed: int, success: int, interval: int) -> dict:
  row = fixture.run(ADDING, model, seed, success, 0.1)
  training = {
    **row['config']['training'],
    'evaluation_interval': 50,
    'success_interval': interval,
  }
  return {**row, 'config': {**row['config'], 'training': training}}


def test_sides_that_were_looked_at_unequally_often_are_compared_as_equals(
  tmp_path,
):
  """As a study that went on with another `training.success_interval`.

  The models are alike: of vanilla, looked at every 50 updates of 32, success
  is seen at 1,600 at the earliest, of gru, every 5, at 320 to 1,280.
  """
  early = (320, 480, 640, 960, 1280)
  seen = {'vanilla': (1600,) * 5, 'gru': early}
  runs = [
    _looked_at(model, seed, success, 5 if model == 'gru' else 0)
    for model, times in seen.items()
    for seed, success in enumerate(times)
  ]
  vanilla, gru = _compare(tmp_path, runs)
  assert math.isnan(gru.speed.p_value)
  assert gru.median.estimate == 640 and vanilla.median.estimate == 1600
  notes = [text for _, text in tables.at_equal_training([vanilla, gru])]
  assert any('every 5 to 50 updates' in note for note in notes)
  # Where both were looked at as often, they differ.
  often = [
    _looked_at(model, seed, success, 5)
    for model, times in seen.items()
    for seed, success in enumerate(times)
  ]
  vanilla, gru = _compare(tmp_path / 'often', often)
  assert gru.speed.p_value < 0.01
  notes = [heading for heading, _ in tables.at_equal_training([vanilla, gru])]
  assert 'speed' not in notes


def test_times_that_were_seldom_looked_for_have_a_ratio_that_covers():
  """With looks half a median apart; in truth the ratio is 1.5."""
  rng = np.random.default_rng(0)
  covered, studies = 0, 150
  for _ in range(studies):
    times = 3200 * rng.lognormal(0, 0.5, (2, 20)) * np.array([[1.5], [1]])
    looked = (1600 * np.ceil(times / 1600)).astype(int)
    sides = [
      [
        {**_looked_at(model, seed, int(time), 0), 'sequences': 64_000}
        for seed, time in enumerate(side, 100 * first)
      ]
      for first, (model, side) in enumerate(zip('xy', looked, strict=True))
    ]
    for run in itertools.chain(*sides):
      run['updates'] = 2000
    pair = equal_training.times_by_seed(sides, 64_000)
    ratio = speed.compare(*pair, resamples=199).ratio
    covered += ratio.low <= 1.5 <= ratio.high
  assert covered / studies > 0.89


def test_times_judged_at_every_update_are_as_they_are():
  seldom = [_looked_at('gru', 0, 4800, 0), _looked_at('gru', 1, 1600, 0)]
  between = success_times.middle_times([seldom, seldom[:1]], 6400)
  assert between == [[4000, 800], [4000]]
  # Evaluations, every 50 updates, are among the looks; 7 fit 49.
  both = [_looked_at('gru', seed, 1600 - 32 * seed, 7) for seed in range(2)]
  assert success_times.middle_times([both], 6400) == [[1600 - 16, 1568 - 112]]
  every = [*seldom, _looked_at('gru', 2, 1632, 0)]
  assert success_times.middle_times([seldom, every], 6400) == [
    [4800, 1600],
    [4800, 1600, 1632],
  ]


def test_without_an_evaluation_of_all_no_loss_is_compared(tmp_path):
  runs = _unequal()
  fixture.write(tmp_path / 'study', runs)
  read = results.read_runs(str(tmp_path / 'study'))
  at_others = [
    {**row, 'sequences': row['sequences'] + 32 * row['run'].endswith('1')}
    for row in results.read_metrics(str(tmp_path / 'study'))
  ]
  untrained = [{'run': run['id'], 'sequences': 0, 'loss': 9.0} for run in read]
  rows = comparison.compare(
    fixture.TASKS, read, 'vanilla', lambda: at_others + untrained
  )
  for row in rows:
    assert row.compared_at is None and row.finite == 0
    assert math.isnan(row.loss.estimate) and math.isnan(row.ratio.p_value)
    assert not math.isnan(row.final.estimate)


def test_metrics_are_read_only_where_training_was_unequal():
  def refuse():
    raise AssertionError('read')

  runs = [{'id': str(n), **run} for n, run in enumerate(_grid())]
  comparison.compare([ADDING], runs, 'vanilla', refuse)
  runs[0]['sequences'] = 3200
  with pytest.raises(AssertionError, match='read'):
    comparison.compare([ADDING], runs, 'vanilla', refuse)


def test_a_run_that_diverged_early_does_not_shorten_the_comparison(tmp_path):
  runs = _unequal()
  runs[1].update(status='diverged', sequences=1600, final={'loss': None})
  rows = _compare(tmp_path, runs)
  assert {row.compared_at for row in rows} == {3200}
  gru = rows[1]
  assert (gru.finite, gru.runs, gru.diverged) == (2, 3, 1)
  # Of its pair too.
  assert gru.ratio.pairs == 2


def test_other_seeds_are_no_pairs_and_neither_are_trials_of_one_seed(tmp_path):
  runs = [
    fixture.run(ADDING, model, seed, None, 0.1 * (1 + seed) * size)
    for model, seeds, size in (
      ('vanilla', (0, 1, 2), 1),
      ('gru', (1, 2, 3), 3),
      ('np', (0, 0, 0), 2),
    )
    for seed in seeds
  ]
  for number, run in enumerate(runs):
    run['final']['loss'] += number / 1000
  rows = {row.label: row for row in _compare(tmp_path, runs)}
  losses = {
    model: [run['final']['loss'] for run in runs if run['model'] == model]
    for model in rows
  }
  for model in ('gru', 'np'):
    sides = np.log(losses[model]), np.log(losses['vanilla'])
    p = scipy.stats.ttest_ind(*sides, equal_var=False)[1]
    assert rows[model].ratio.pairs == 0
    assert rows[model].ratio.p_value == pytest.approx(p)


def test_speed_has_its_own_family(tmp_path):
  runs = [
    fixture.run(ADDING, model, seed, start + 100 * seed, 0.1 + seed / 100)
    for model, start in (('vanilla', 4000), ('gru', 1000), ('np', 4010))
    for seed in range(5)
  ]
  _, gru, other = _compare(tmp_path, runs)
  # The smallest p of five against five: two of the ways to divide ten runs.
  assert gru.speed.p_value == pytest.approx(2 / math.comb(10, 5))
  assert gru.speed_holm == pytest.approx(2 * gru.speed.p_value)
  assert other.speed_holm == pytest.approx(other.speed.p_value) and (
    other.speed.p_value > 0.5
  )
  assert gru.speed.ratio.estimate < 0.5


def test_losses_below_zero_are_compared_by_their_means(tmp_path):
  runs = [
    fixture.run(ADDING, model, seed, None, low + seed / 10)
    for model, low in (('vanilla', -2.0), ('gru', -3.0))
    for seed in range(3)
  ]
  vanilla, gru = _compare(tmp_path, runs)
  assert vanilla.loss.estimate == pytest.approx(-1.9)
  assert gru.ratio.p_value < 0.01 and math.isnan(gru.ratio.ratio.estimate)


def test_a_text_is_told_in_bits_and_perplexity():
  runs = [
    {'id': str(seed), **fixture.run(ADDING, 'vanilla', seed, None, loss)}
    for seed, loss in enumerate((2.0, 2.0))
  ]
  (plain,) = comparison.compare([ADDING], runs, 'vanilla')
  assert math.isnan(plain.bits) and math.isnan(plain.perplexity)
  known = {ADDING: {'nats_per': 'character'}}
  (row,) = comparison.compare(known, runs, 'vanilla')
  assert row.bits == pytest.approx(2 / math.log(2))
  assert row.perplexity == pytest.approx(math.exp(2))
  heads = [(column.heading, column.unit) for column in tables.columns([row])]
  assert ('bits', 'per character') in heads
  assert ('perplexity', 'of a character') in heads
