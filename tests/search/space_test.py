"""What a search may be: distributions, sizes, and what a config refuses."""

import dataclasses
import importlib.util
import math

import numpy as np
import pytest

from lstm_variants import errors
from lstm_variants.launch import local
from lstm_variants.runs import files, lock
from lstm_variants.search import check, generations, mirror, space
from lstm_variants.tasks import base
from tests import conftest

RATE = {'config.optimizer.learning_rate': space.log_uniform(1e-4, 1e-1)}
TWO = {**RATE, 'config.model.forget_bias': space.uniform(-2.0, 4.0)}


def _refusal(fields=None, changes=None, **options) -> str:
  """Return the one line with which a search of a tiny config is refused."""
  with pytest.raises(errors.Error) as info:
    search = space.space(RATE if fields is None else fields, **options)
    check.check(_config(changes), search)
  line = str(info.value)
  assert line.startswith('get_search: ') and '\n' not in line
  return line


def _config(changes=None):
  return conftest.tiny_config(
    {'training.stop_when_solved': False, **(changes or {})}
  )


@pytest.mark.parametrize(
  'distribution, values',
  [
    (space.uniform(-2, 4), [-2.0, 1.0, 4.0]),
    (space.log_uniform(1e-4, 1), [1e-4, 1e-2, 1.0]),
    (space.integer(1, 3), [1, 2, 3]),
    (space.integer(10, 20, step=5), [10, 15, 20]),
    (space.integer(1, 64, log=True), [1, 6, 64]),
    (space.categorical(['a', 'b', 'c']), ['a', 'b', 'c']),
  ],
)
def test_a_distribution_reaches_its_ends_and_its_middle_and_goes_back(
  distribution, values
):
  middle = [distribution.at(share) for share in (0.0, 0.5, 1.0)]
  back = [distribution.at(distribution.share(value)) for value in values]
  if isinstance(values[0], str):
    assert middle == back == values
  else:
    assert middle == pytest.approx(values) and back == pytest.approx(values)


def test_a_number_is_never_outside_its_ends_by_a_rounding():
  for one in (
    space.log_uniform(1e-4, 1e-1),
    space.log_uniform(1e-5, 1.0),
    space.uniform(-0.3, 0.1),
  ):
    assert one.low <= one.at(0.0) < one.at(1.0) <= one.high


@pytest.mark.parametrize('log', [False, True])
def test_integers_are_drawn_as_often_as_they_should(log):
  distribution = space.integer(1, 4, log=log)
  drawn = [distribution.at(share) for share in np.linspace(0, 1, 4001)]
  ends = np.log([0.5, 1.5, 2.5, 3.5, 4.5]) if log else np.arange(5)
  wanted = np.diff(ends) / (ends[-1] - ends[0])
  assert np.bincount(drawn)[1:] / 4001 == pytest.approx(wanted, abs=1e-3)


@pytest.mark.parametrize(
  'make, words',
  [
    (lambda: space.uniform(4, -2), 'nearest: uniform(-2, 4)'),
    (lambda: space.uniform(0, math.inf), 'not a finite number'),
    (lambda: space.log_uniform(0, 1), 'nearest: uniform'),
    (lambda: space.integer(1, 2.5), 'not an integer'),  # pyrefly: ignore
    (lambda: space.integer(1, 9, step=0), 'step=0'),
    (lambda: space.categorical(['a']), 'two values or more'),
    (lambda: space.categorical(['a', 'a']), 'each once'),
    (lambda: space.categorical([1, [2]]), 'is no number'),
    (lambda: space.halving(0), 'first=0'),
    (lambda: space.space({}), 'no fields'),
    (
      lambda: space.space({'optimizer.learning_rate': space.uniform(0, 1)}),
      "nearest: 'config.optimizer.learning_rate'",
    ),
    (lambda: space.space({'config.seed': 3}), 'is no distribution'),  # pyrefly: ignore
    (lambda: space.space(RATE, trials=0), 'nearest: 1'),
    (lambda: space.space(RATE, batch=2.0), 'batch=2.0'),  # pyrefly: ignore
    (lambda: space.space(RATE, seeds=0), 'nearest: 1'),
    (lambda: space.space(RATE, trials=60_000, seeds=2), 'trials=50000'),
    (lambda: space.space(RATE, sampler='cma'), "nearest: sampler='cmaes'"),
    (lambda: space.space(RATE, objective=['loss', 'loss']), 'each once'),
    (lambda: space.space(RATE, sampler='cmaes'), 'two fields or more'),
    (
      lambda: space.space(
        {**TWO, 'config.model.variant': space.categorical(['gru', 'lstm'])},
        sampler='cmaes',
      ),
      'model.variant is categorical',
    ),
    (
      lambda: space.space(TWO, sampler='cmaes', trials=50, batch=16),
      'nearest: batch=16, trials=64',
    ),
    (
      lambda: space.space(
        TWO, sampler='cmaes', objective=['loss', 'params_in_use']
      ),
      "nearest: sampler='tpe'",
    ),
    (
      lambda: space.space(
        RATE, halving=space.halving(8), objective=['loss', 'params_in_use']
      ),
      'several objectives',
    ),
  ],
)
def test_a_search_that_cannot_be_is_refused_in_one_line(make, words):
  with pytest.raises(space.SpaceError) as info:
    make()
  line = str(info.value)
  assert line.startswith('get_search: ') and words in line


@pytest.mark.parametrize(
  'fields, words',
  [
    (
      {'config.optimizer.learning_rat': space.uniform(0.1, 1)},
      "nearest: 'optimizer.learning_rate'",
    ),
    (
      {'config.optimizer.learning_rate': space.uniform(0.0, 1.0)},
      'learning_rate=0.0: must be > 0',
    ),
    (
      # 0 is valid, and stands for none; what lies beside it is not.
      {'config.model.chrono_t_max': space.uniform(0.0, 10.0)},
      'at least 3',
    ),
    (
      {'config.model.hidden_features': space.uniform(8.0, 64.0)},
      'nearest: search.integer(8, …)',
    ),
    (
      {'config.model.hidden_features': space.integer(0, 64)},
      'hidden_features=0',
    ),
    (
      {'config.model.variant': space.categorical(['vanilla', 'peephol'])},
      "nearest: 'peephole'",
    ),
    ({'config.task.length': space.integer(8, 9)}, 'are of one task'),
    ({'config.seed': space.integer(0, 9)}, 'seeds=N'),
    ({'config.training.updates': space.integer(8, 9)}, 'how a study trains'),
  ],
)
def test_fields_and_values_that_a_config_does_not_take_are_refused(
  fields, words
):
  assert words in _refusal(fields)


@pytest.mark.parametrize(
  'options, changes, words',
  [
    ({'objective': 'los'}, {}, "nearest: 'loss'; choices: "),
    ({'objective': space.maximize('accuracy')}, {}, 'does not report it'),
    ({}, {'training.stop_when_solved': True}, 'nearest: false'),
    ({}, {'training.patience': 8}, 'nearest: 0'),
    ({'halving': space.halving(12)}, {}, 'every 8 updates'),
    ({'halving': space.halving(24)}, {}, 'before the last of 20; nearest: 16'),
    (
      {'halving': space.halving(8)},
      {'study.population_size': 4},
      'population_size=4',
    ),
    (
      {'halving': space.halving(8)},
      {'training.trackers': 'csv'},
      'trackers (csv)',
    ),
    (
      {'halving': space.halving(8), 'objective': 'sequences_to_success'},
      {},
      "nearest: objective='loss'",
    ),
  ],
)
def test_what_could_not_be_judged_is_refused(options, changes, words):
  assert words in _refusal(None, changes, **options)


def test_success_is_no_objective_where_nothing_means_it():
  run = local.check(_config())
  task = dataclasses.replace(
    run.settings.held_out_task, success=base.Unjudged()
  )
  run = run._replace(settings=run.settings.replace(without_data=task))
  check._check_objective(space.minimize('loss'), run)
  with pytest.raises(space.SpaceError, match='does not report it'):
    check._check_objective(space.minimize('sequences_to_success'), run)


def test_a_range_may_begin_at_zero_where_the_field_takes_it():
  fields = {'config.model.forget_bias': space.uniform(0.0, 2.0)}
  check.check(_config(), space.space(fields, sampler='random'))


def test_success_stops_a_generation_that_is_judged_by_it():
  search = space.space(RATE, objective='sequences_to_success', sampler='qmc')
  check.check(_config({'training.stop_when_solved': True}), search)


def test_a_package_that_is_missing_is_named_with_the_command(monkeypatch):
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
  with pytest.raises(check.MissingError) as info:
    check.check(_config(), space.space(RATE))
  assert "pip install 'lstm-variants[search]'" in str(info.value)
  with pytest.raises(check.MissingError, match='--mirror: optuna is not inst'):
    mirror.open_mirror('search.log', 'search')
  check.check(_config(), space.space(RATE, sampler='random'))


@pytest.mark.parametrize('returned', [None, {}, [1], 'tpe'])
def test_what_is_no_search_is_refused(returned):
  with pytest.raises(space.SpaceError, match='no search'):
    check.read(lambda search: returned)
  with pytest.raises(space.SpaceError, match='ZeroDivisionError'):
    check.read(lambda search: 1 / 0)


def test_a_generation_is_read_as_it_was_written(tmp_path):
  search = space.space(
    {
      **RATE,
      'config.optimizer.clip_norm': space.categorical([1.0, math.inf]),
      'config.model.hidden_features': space.integer(4, 8),
    },
    sampler='random',
  )
  params = {
    'optimizer.learning_rate': 0.1 + 0.2,
    'optimizer.clip_norm': math.inf,
    'model.hidden_features': 5,
  }
  trials = (
    generations.Trial(0, params, ('a', 'b')),
    generations.Trial(1, {**params, 'optimizer.clip_norm': 1.0}, (), 'no'),
  )
  written = generations.Generation(
    *(0, 0, 'numpy', trials, (generations.Rung(8, (0,)),), ())
  )
  generations.write(str(tmp_path), search, written)
  assert generations.read_all(str(tmp_path), search) == [written]
  path = tmp_path / 'generations/0000.json'
  text = path.read_text()
  for other, why in (
    ('{"format": 1}', 'generation'),
    ('[]', 'indices'),
    ('null', 'subscriptable'),
    (text.replace('"format": 1', '"format": 2'), 'has format 2'),
    (text.replace('"generation": 0', '"generation": 1'), 'is generation 1'),
    (text.replace('"generation": 0', '"generation": 1e999'), 'infinity'),
  ):
    assert other != text
    path.write_text(other)
    with pytest.raises(errors.Error, match=f'is not what was written: .*{why}'):
      generations.read_all(str(tmp_path), search)


@pytest.mark.parametrize('values', [(1, True), (1.0, 1), (False, 0, '0')])
def test_a_choice_is_read_as_the_value_that_it_was(tmp_path, values):
  field = {'config.model.bias': space.categorical(values)}
  search = space.space(field, sampler='random')
  trials = tuple(
    generations.Trial(number, {'model.bias': value}, ())
    for number, value in enumerate(values)
  )
  written = generations.Generation(0, 0, 'numpy', trials)
  generations.write(str(tmp_path), search, written)
  (read,) = generations.read_all(str(tmp_path), search)
  for trial, value in zip(read.trials, values, strict=True):
    assert trial.params['model.bias'] is value


def test_who_slept_while_others_took_the_directory_writes_no_generation(
  tmp_path, monkeypatch
):
  search = space.space(RATE, sampler='random')
  asked = generations.Generation(0, 0, 'numpy', ())
  sync = files.sync

  def slept(file):
    sync(file)
    (tmp_path / lock.NAME).unlink()
    (tmp_path / lock.NAME).touch()

  with lock.hold(tmp_path, print):
    generations.write(str(tmp_path), search, asked)
    monkeypatch.setattr(files, 'sync', slept)
    for number in range(2):  # it sleeps at the first, and has slept after that
      with pytest.raises(files.StorageError, match='taken over by another'):
        generations.write(
          *(str(tmp_path), search),
          asked._replace(number=number, made_by='who slept'),
        )
  assert generations.read_all(str(tmp_path), search) == [asked]
