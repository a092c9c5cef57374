"""The Odyssey: its draws are those of the protocol, and make valid runs."""

import pathlib
import runpy
from typing import Any

import numpy as np
import pytest

from configs.studies import odyssey
from lstm_variants.cells import variants
from lstm_variants.config import grid as hyper
from lstm_variants.config import populations
from lstm_variants.evidence import subjects
from lstm_variants.evidence.importance import draw
from lstm_variants.launch import local
from tests.report import study_fixture as fixture

ROOT = pathlib.Path(__file__).parents[2]
GRID = odyssey.get_hyper(hyper)


@pytest.fixture(scope='module')
def many():
  """The grid with the 200 trials of the paper."""
  return odyssey.get_hyper(hyper, '200')


def _column(grid, field):
  return np.array([setting[f'config.{field}'] for setting in grid])


def test_nine_variants_on_three_tasks_have_twenty_trials_each():
  counts: dict[tuple[str, str], int] = {}
  for setting in GRID:
    key = setting['config.task.name'], setting['config.model.variant']
    counts[key] = counts.get(key, 0) + 1
  assert len(counts) == 27
  assert set(counts.values()) == {20}


def test_v_has_peepholes_and_each_variant_differs_as_in_the_paper():
  v, *others = (variants.VARIANTS[name].toggles for name in odyssey.VARIANTS)
  assert (v.peephole_i, v.peephole_f, v.peephole_o) == (True, True, True)
  changed = [
    {f for f in v._fields if getattr(v, f) != getattr(other, f)}
    for other in others
  ]
  assert changed == [
    # A gate that is gone has no peephole.
    {'input_gate', 'peephole_i'},
    {'forget_gate', 'peephole_f'},
    {'output_gate', 'peephole_o'},
    {'input_activation'},
    {'output_activation'},
    {'peephole_i', 'peephole_f', 'peephole_o'},
    {'coupled', 'peephole_f'},
    {'gate_recurrence'},
  ]


def test_draws_are_log_uniform_but_for_the_noise(many):
  momentum = _column(many, 'optimizer.momentum')
  rate = _column(many, 'optimizer.learning_rate') / (1 - momentum)
  for values, low, high in (
    (np.log10(1 - momentum), -2, 0),
    (np.log10(rate), -2, 1),
    (_column(many, 'training.input_noise'), 0, 0.3),
  ):
    assert values.min() >= low
    assert values.max() <= high
    # Of an even distribution, to within four standard errors.
    width = high - low
    error = 4 * width / np.sqrt(12 * len(values))
    assert abs(values.mean() - (low + high) / 2) < error
    assert abs(values.std() - width / np.sqrt(12)) < error
    quarters = np.histogram(values, 4, (low, high))[0] / len(values)
    np.testing.assert_allclose(quarters, 0.25, atol=0.03)


def test_widths_are_geometric_steps_drawn_equally_often(many):
  ratios = np.divide(odyssey.WIDTHS[1:], odyssey.WIDTHS[:-1])
  np.testing.assert_allclose(ratios, 8**0.2, rtol=0.03)
  _, counts = np.unique(
    _column(many, 'model.hidden_features'), return_counts=True
  )
  np.testing.assert_allclose(counts / len(many), 1 / 6, atol=0.02)


def test_each_variant_and_task_has_its_own_draws():
  rates = _column(GRID, 'optimizer.learning_rate')
  assert len(set(rates)) == len(GRID)
  assert len(set(_column(GRID, 'seed'))) == len(GRID)


def test_the_rate_is_independent_of_the_momentum_before_it_is_scaled(many):
  remainder = np.log(1 - _column(many, 'optimizer.momentum'))
  rate = np.log(_column(many, 'optimizer.learning_rate'))
  assert abs(np.corrcoef(rate - remainder, remainder)[0, 1]) < 0.06
  assert np.corrcoef(rate, remainder)[0, 1] > 0.4


def test_draws_are_the_same_each_time_and_more_trials_begin_with_them(many):
  assert odyssey.get_hyper(hyper) == GRID
  for block in range(27):
    assert (
      many[200 * block : 200 * block + 20]
      == (GRID[20 * block : 20 * block + 20])
    )


def test_the_first_of_more_trials_are_the_same_runs(many):
  few = local.expand(odyssey.get_config(), lambda hyper: GRID[20:40])
  first = local.expand(odyssey.get_config('200'), lambda hyper: many[200:220])
  for one, other in zip(few, first, strict=True):
    assert one.config == other.config
    assert one.settings == other.settings
    assert (
      populations.split([one])[0].run_names[0]
      == populations.split([other])[0].run_names[0]
    )
  assert (
    len({name for group in populations.split(few) for name in group.run_names})
    == 20
  )


@pytest.mark.parametrize('trials', [1, 20, 33, odyssey.MOST_TRIALS])
def test_any_number_of_trials_can_be_asked_for(trials, monkeypatch):
  monkeypatch.setattr(odyssey, 'TASKS', {'adding': {}})
  monkeypatch.setattr(odyssey, 'VARIANTS', ('peephole', 'fgr'))
  grid = odyssey.get_hyper(hyper, str(trials))
  assert len(grid) == 2 * trials
  assert grid[trials]['config.model.variant'] == 'fgr'


def test_as_many_trials_as_fit_into_a_study():
  each = len(odyssey.TASKS) * len(odyssey.VARIANTS)
  assert odyssey.MOST_TRIALS * each <= local.MOST_RUNS
  assert (odyssey.MOST_TRIALS + 1) * each > local.MOST_RUNS


@pytest.mark.parametrize(
  ('argument', 'nearest'),
  [
    ('x', 'for example 200'),
    ('nan', 'for example 200'),
    ('0', 'nearest: 1'),
    ('-3', 'nearest: 1'),
    ('1e9', 'nearest: 3703'),
    ('3704', 'nearest: 3703'),
    ('9' * 5000, 'nearest: 3703'),
    ('2e2', 'nearest: 200'),
    ('0200', 'nearest: 200'),
    ('7.6', 'nearest: 8'),
  ],
)
def test_what_is_no_number_of_trials_is_refused_with_the_rule(
  argument, nearest
):
  for ask in (
    lambda: odyssey.get_config(argument),
    lambda: odyssey.get_hyper(hyper, argument),
  ):
    with pytest.raises(ValueError) as refused:
      ask()
    message = str(refused.value)
    assert 'must be an integer from 1 to 3703' in message
    assert message.endswith(nearest)


def test_runs_of_a_task_and_width_are_accepted_and_share_a_program():
  chosen = {}
  for setting in GRID:
    kind = [setting[f'config.{f}'] for f in ('task.name', 'model.variant')]
    width = setting['config.model.hidden_features']
    # Of each variant, and of each width twice.
    chosen.setdefault((*kind,), setting)
    chosen.setdefault((kind[0], width), setting)
    chosen[kind[0], width, 'last'] = setting
  grid = list({id(setting): setting for setting in chosen.values()}.values())
  runs = local.expand(odyssey.get_config(), lambda hyper: grid)
  assert len(populations.split(runs)) == 18


def _study(trials, searched=True, baselines=None):
  """A study of two models on adding, with made-up losses."""
  task, rows = 'adding-urnn16-T50', []
  rng = np.random.default_rng(0)
  for model, penalty in (('peephole', 0.0), ('nfg', 1.0)):
    for seed in range(trials):
      rate = 10 ** rng.uniform(-2, 1) if searched else 0.1
      momentum = 1 - 10 ** rng.uniform(-2, 0) if searched else 0.0
      row = fixture.run(
        task, model, seed, None, 10 ** (penalty + abs(np.log10(rate)) - 3)
      )
      row['config'] = fixture.config(
        task, model, seed, learning_rate=rate, momentum=momentum
      )
      rows.append({'id': f'{model}{seed}', **row})
  unread: Any = None
  models = [
    subjects.Subject(task, model, model, unread, None, (), ())
    for model in ('peephole', 'nfg')
  ]
  facts = {task: {'baselines': baselines or {'loss': 1 / 6}}}
  return subjects.Study('w', facts, rows, rows, unread, models)


def test_a_random_search_is_drawn_with_its_tables():
  drawings = list(draw.draw(_study(24), 'peephole'))
  assert [d.part for d in drawings] == ['best', 'marginals', 'shares']
  assert {(d.kind, d.task) for d in drawings} == {
    ('importance', 'adding-urnn16-T50')
  }
  best, _, shares = (
    [dict(zip(d.columns, row, strict=True)) for row in d.rows] for d in drawings
  )
  assert [(row['model'], row['verdict']) for row in best] == [
    ('peephole', 'baseline'),
    ('nfg', 'worse'),
  ]
  assert (best[1]['paper'], best[1]['agrees']) == ('worse on all three', 'yes')
  of = {(row['trials_of'], row['hyperparameter']): row for row in shares}
  # Two models a decade apart have a variance of 1/4.
  assert of['all models', 'model']['share'] > 0.2
  rate = of['peephole', 'learning rate']
  assert rate['share'] > 3 * of['peephole', 'momentum']['share']
  for name in ('all models', 'peephole', 'nfg'):
    total = sum(row['share'] for key, row in of.items() if key[0] == name)
    np.testing.assert_allclose(total, 1, atol=1e-6)


def test_a_plain_comparison_has_nothing_to_draw():
  assert not list(draw.draw(_study(24, searched=False), 'peephole'))


def test_too_few_trials_leave_the_best_ones(capsys):
  drawings = list(draw.draw(_study(6), 'peephole'))
  assert [d.part for d in drawings] == ['best']
  assert '12 trials, at least 20' in capsys.readouterr().err


@pytest.mark.parametrize(
  ('paper', 'verdict', 'agrees'),
  [
    ('worse on all three', 'worse', 'yes'),
    ('worse on all three', 'not told apart', 'not seen'),
    ('worse on all three', 'better', 'no'),
    ('worse on two of three', 'worse', 'in part'),
    ('no significant difference', 'not told apart', 'yes'),
    ('no significant difference', 'worse', 'no'),
    ('not better', 'worse', 'yes'),
    ('not better', 'better', 'no'),
    ('not better', 'too few', 'unknown'),
  ],
)
def test_verdicts_are_compared_with_the_papers(paper, verdict, agrees):
  assert draw.agrees(paper, verdict) == agrees


def test_the_overview_of_a_search_shows_what_the_figures_say(tmp_path):
  fixture.write(tmp_path, fixture.example())
  (tmp_path / 'figures').mkdir()
  for number, task in enumerate(fixture.TASKS):
    named = tmp_path / 'figures' / task
    named.with_name(f'{task}-importance-best.csv').write_text(
      'model,mean_loss,verdict,paper\n'
      f'peephole,0.{number}5,baseline,\nnfg,0.{number}7,worse,worse on all\n'
    )
    named.with_name(f'{task}-importance-shares.csv').write_text(
      'trials_of,hyperparameter,share\n'
      f'all models,momentum,0.{number}2\npeephole,momentum,0.99\n'
    )
  page = runpy.run_path(str(ROOT / 'docs' / 'overview.py'))
  one, two = fixture.TASKS
  assert page['search'](str(tmp_path)) == [
    f'| variant | {one} | {two} | in the paper |',
    '| --- | --- | --- | --- |',
    '| peephole | 0.05 | 0.15 | — |',
    '| nfg | 0.07, worse | 0.17, worse | worse on all |',
    '',
    f'| share of the variance | {one} | {two} |',
    '| --- | --- | --- |',
    '| momentum | 2% | 12% |',
  ]
