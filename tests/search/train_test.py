"""A search from end to end: disturbed, and beside a plain study."""

import json
import pathlib
import shutil
from typing import Any

import numpy as np
import pytest

import lstm_variants as lv
from lstm_variants import errors
from lstm_variants.launch import local
from lstm_variants.report import write as report
from lstm_variants.runs import checkpoint, directory, files, results
from lstm_variants.runs import writer as writer_lib
from lstm_variants.runs.directory import Mode
from lstm_variants.search import (
  ask,
  generations,
  mirror,
  rungs,
  space,
  train,
)
from lstm_variants.training import loop, states, watching
from lstm_variants.training import population as population_lib
from tests import conftest

FIELDS = {
  'config.optimizer.learning_rate': space.log_uniform(1e-4, 1e-1),
  'config.model.variant': space.categorical(['vanilla', 'peephole']),
}
# TPE needs ten trials to begin with.
SEARCH = space.space(FIELDS, trials=15, batch=5)
HALVED = space.space(
  {'config.optimizer.learning_rate': space.log_uniform(1e-4, 1e-1)},
  sampler='qmc',
  trials=4,
  batch=4,
  halving=space.halving(8),
)
UPDATES = 16
# Of all searches here: what they train was compiled before.
PROGRAMS = population_lib.Programs(most=100)


class Killed(BaseException):
  """Stands for a process that is killed: nothing is tidied up by it."""


def _config(changes=None):
  return conftest.tiny_config(
    {
      'training.updates': UPDATES,
      'training.stop_when_solved': False,
      **(changes or {}),
    }
  )


def _train(workdir, search, mode=Mode.NEW, changes=None, **options) -> None:
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(population_lib, 'RECENT', PROGRAMS)
    train.train(str(workdir), 'tiny', _config(changes), search, mode, **options)


def _left(workdir: pathlib.Path) -> dict[str, Any]:
  """Return all that a search left, without times."""
  study = json.loads((workdir / 'study.json').read_text())
  del study['created']
  left: dict[str, Any] = {'study': study}
  for path in sorted((workdir / 'generations').iterdir()):
    left[path.name] = path.read_bytes()
  for folder in sorted((workdir / 'populations').iterdir()):
    rows = [dict(row) for row in files.read_json_lines(folder / 'runs.jsonl')]
    for row in rows:
      del row['seconds_per_update']
    left[folder.name] = rows
    left[f'{folder.name} metrics'] = (folder / 'metrics.jsonl').read_bytes()
    arrays = results.read_params(str(workdir), folder.name)
    left[f'{folder.name} params'] = {k: v.tobytes() for k, v in arrays.items()}
  assert not list((workdir / 'divided').glob('*'))
  return left


@pytest.fixture(scope='module')
def searched(tmp_path_factory) -> pathlib.Path:
  """A search that nobody disturbed, and its mirror beside it."""
  place = tmp_path_factory.mktemp('search')
  _train(place / 'calm', SEARCH, mirror_to=str(place / 'calm.log'))
  return place / 'calm'


@pytest.fixture(scope='module')
def halved(tmp_path_factory) -> pathlib.Path:
  """A search with halving that nobody disturbed."""
  place = tmp_path_factory.mktemp('halved') / 'calm'
  _train(place, HALVED)
  return place


def _kill(monkeypatch, owner, name: str, call: int, *, after: bool = False):
  """Let a call of a function be the process's last; the first is number 1."""
  usual, calls = getattr(owner, name), []

  def disturbed(*args, **kwargs):
    calls.append(None)
    if len(calls) != call:
      return usual(*args, **kwargs)
    if after:
      usual(*args, **kwargs)
    raise Killed

  monkeypatch.setattr(owner, name, disturbed)


# What is trained; what is called, the number of the call, and whether it is
# done by then.
POINTS = {
  'before a generation is written': (
    'searched',
    generations,
    'write',
    3,
    False,
  ),
  'after a generation is written': ('searched', generations, 'write', 3, True),
  'before the study has grown': ('searched', directory, 'grow', 3, False),
  'before its first population': (
    'searched',
    loop,
    'train_population',
    1,
    False,
  ),
  'in training': ('searched', watching.Watch, 'see', 5, True),
  'before its end is known': ('searched', train, '_know', 2, False),
  'when a rung is decided': ('halved', generations, 'write', 2, True),
  'before a population is divided': ('halved', rungs, 'divide', 1, False),
  'after a part is saved': ('halved', checkpoint, 'save', 2, True),
  'after what is retired is finished': (
    *('halved', writer_lib.PopulationWriter, 'finish', 2),
    True,
  ),
  'while what was divided is removed': ('halved', rungs, '_take', 2, True),
  'after a population is divided': ('halved', rungs, 'divide', 1, True),
}
SEARCHES = {'searched': SEARCH, 'halved': HALVED}


@pytest.mark.parametrize('point', POINTS)
def test_a_search_that_was_killed_asks_for_and_trains_the_same(
  request, tmp_path, point
):
  what, owner, name, call, after = POINTS[point]
  with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
    _kill(patch, owner, name, call, after=after)
    _train(tmp_path / 's', SEARCHES[what])
  if 'removed' in point:
    (aside,) = (tmp_path / 's/divided').iterdir()
    shutil.rmtree(aside / 'checkpoints')
  _train(tmp_path / 's', SEARCHES[what], Mode.RESUME)
  assert _left(tmp_path / 's') == _left(request.getfixturevalue(what))


def _of_runs(workdir) -> dict[tuple[str, float], Any]:
  """Return model, rate -> status, metrics and parameters of each run."""
  of_runs: dict[tuple[str, float], Any] = {}
  for row in results.read_rows(str(workdir)):
    place = row['population']
    arrays = results.read_params(str(workdir), place)
    config = row['config']
    key = (row['model'], config['optimizer']['learning_rate'])
    of_runs[key] = (
      row['status'],
      row['updates'],
      row['final'],
      [
        [one['update'], one['loss'], one['grad_norm']]
        for one in results.read_metrics(str(workdir))
        if one['run'] == row['id']
      ],
      {name: leaf[row['index']].tobytes() for name, leaf in arrays.items()},
    )
  return of_runs


def _plain(workdir, params, updates=UPDATES):
  """Train a plain study of some trials, for so many updates."""
  config = _config({'training.updates': updates})
  settings = [{f'config.{k}': v for k, v in one.items()} for one in params]
  runs = local.expand(config, lambda hyper: settings)
  local.train(str(workdir), 'plain', config, runs)
  return _of_runs(workdir)


def test_a_generation_trains_as_the_same_runs_of_a_plain_study(
  searched, tmp_path
):
  (*_, last) = generations.read_all(str(searched), SEARCH)
  plain = _plain(tmp_path / 'plain', [one.params for one in last.trials])
  found = _of_runs(searched)
  assert plain.keys() <= found.keys() and len(plain) == 5
  assert plain == {key: found[key] for key in plain}


def test_what_goes_on_behind_a_rung_is_as_if_it_had_been_trained_alone(
  halved, tmp_path
):
  (generation,) = generations.read_all(str(halved), HALVED)
  (rung,) = generation.rungs
  assert len(rung.kept) == 2 and rung.updates == 8
  on, retired = (
    [one.params for one in generation.trials if (one.number in rung.kept) == k]
    for k in (True, False)
  )
  found = _of_runs(halved)
  plain = _plain(tmp_path / 'on', on)
  plain |= _plain(tmp_path / 'retired', retired, 8)
  assert found == plain
  losses = {key: run[3] for key, run in plain.items()}
  # The better half went on, by the loss at the rung.
  at_rung = {key: rows[1][1] for key, rows in losses.items()}
  assert sorted(at_rung.values())[:2] == sorted(
    at_rung['vanilla', one['optimizer.learning_rate']] for one in on
  )
  rows = results.read_rows(str(halved))
  assert sum(row['updates'] for row in rows) == 2 * 8 + 2 * UPDATES
  # Each says so itself, in its row and in study.json.
  configs = [row['config'] for row in rows]
  configs += results.read_study(str(halved))['runs']
  updates = [one['training']['updates'] for one in configs]
  assert sorted(updates) == [8] * 4 + [UPDATES] * 4


def test_the_results_are_those_of_a_study(searched, halved):
  for workdir, count in ((searched, 15), (halved, 4)):
    found = lv.open_results(workdir)
    rows = found.runs()
    assert len(rows) == len(found.study['runs']) == count
    best = min(rows, key=lambda row: row['final']['loss'])
    model = found.load('best')
    assert best['id'] in repr(model)
    params = results.read_params(str(workdir), best['population'])
    for name, leaf in states.named_leaves(model.params).items():
      assert np.array_equal(leaf, params[name][best['index']])
  # By its record, as five values of a field alone would be a grid.
  labels = [row.label for row in lv.open_results(halved).compare().rows]
  assert labels == ['vanilla (search over learning_rate)']
  labels = [row.label for row in lv.open_results(searched).compare().rows]
  assert labels == [
    f'{model} (search over learning_rate)' for model in ('vanilla', 'peephole')
  ]
  report.write(str(halved), None)


def test_a_trial_that_was_there_before_is_not_trained_again(tmp_path):
  fields = {'config.model.forget_bias': space.categorical([0.0, 1.0])}
  search = space.space(fields, sampler='random', trials=6, batch=3)
  _train(tmp_path / 's', search)
  rows = results.read_rows(str(tmp_path / 's'))
  assert len(rows) == len({row['id'] for row in rows}) <= 2
  trials = [
    trial
    for generation in generations.read_all(str(tmp_path / 's'), search)
    for trial in generation.trials
  ]
  assert len(trials) == 6 and all(trial.runs for trial in trials)


def test_trials_whose_fields_contradict_each_other_count_as_the_worst(
  tmp_path, capsys
):
  fields = {
    'config.model.dropout': space.categorical([0.0, 0.5]),
    'config.model.forget_bias': space.categorical([0.0, 1.0]),
  }
  search = space.space(fields, sampler='qmc', trials=4, batch=4)
  _train(tmp_path / 's', search)
  (generation,) = generations.read_all(str(tmp_path / 's'), search)
  refused = [trial for trial in generation.trials if trial.refusal]
  assert {trial.params['model.dropout'] for trial in refused} == {0.5}
  assert 'num_layers of 2 or more' in refused[0].refusal
  assert '2 of 4 trials are refused' in capsys.readouterr().err
  assert len(results.read_rows(str(tmp_path / 's'))) == 2


def _refusal(workdir, search=SEARCH, changes=None, mode=Mode.RESUME) -> str:
  before = _files(workdir)
  with pytest.raises(errors.Error) as info:
    _train(workdir, search, mode, changes)
  assert _files(workdir) == before
  return str(info.value)


def _files(workdir):
  return {
    path: path.read_bytes()
    for path in pathlib.Path(workdir).rglob('*')
    if path.is_file()
  }


def test_another_search_is_not_gone_on_with(searched, tmp_path):
  assert 'seed: 0 before, 1 now' in _refusal(searched, SEARCH._replace(seed=1))
  assert 'trials: 15 before' in _refusal(searched, SEARCH._replace(trials=10))
  line = _refusal(searched, changes={'training.batch_size': 8})
  assert 'config.training.batch_size: 4 before, 8 now' in line
  line = _refusal(searched, changes={'training.updates': 24})
  assert 'config.training.updates: 16 before, 24 now' in line
  assert '--resume goes on with it' in _refusal(searched, mode=Mode.NEW)
  plain = tmp_path / 'plain'
  config = _config({'training.updates': 1})
  runs = local.expand(config, lambda hyper: [{}])
  local.train(str(plain), 'plain', config, runs)
  assert 'is no search' in _refusal(plain)
  assert 'nothing to go on with' in _refusal(tmp_path / 'new')


def test_more_trials_are_asked_for_behind_those_that_are_there(
  searched, tmp_path
):
  few = SEARCH._replace(trials=10)
  _train(tmp_path / 's', few)
  _train(tmp_path / 's', SEARCH, Mode.RESUME, {'training.save_interval': 7})
  ours, theirs = _left(tmp_path / 's'), _left(searched)
  assert ours['0002.json'] == theirs['0002.json']
  assert ours['study']['parts'] == theirs['study']['parts']
  _train(tmp_path / 's', few._replace(trials=5), Mode.OVERWRITE)
  assert len(results.read_rows(str(tmp_path / 's'))) == 5
  assert not (tmp_path / 's/generations/0001.json').exists()


# The mirror.


def _mirrored(path: pathlib.Path):
  import optuna

  backend = optuna.storages.journal.JournalFileBackend(str(path))
  storage = optuna.storages.JournalStorage(backend)
  return optuna.load_study(study_name=None, storage=storage)


def _facts(study):
  return [
    (trial.params, trial.values, trial.user_attrs, trial.state)
    for trial in study.trials
  ]


def test_a_mirror_has_the_trials_and_is_written_again_where_it_is_lost(
  searched, tmp_path
):
  first = _mirrored(searched.parent / 'calm.log')
  assert first.metric_names == ['loss']
  rows = {row['id']: row for row in results.read_rows(str(searched))}
  assert [trial.user_attrs['number'] for trial in first.trials] == [*range(15)]
  for trial in first.trials:
    (run,) = trial.user_attrs['runs']
    assert trial.values == [rows[run]['final']['loss']]
    config = rows[run]['config']
    assert trial.params == {
      'optimizer.learning_rate': config['optimizer']['learning_rate'],
      'model.variant': config['model']['variant'],
    }
  again = tmp_path / 'again.log'
  before = _files(searched)
  _train(searched, SEARCH, Mode.RESUME, mirror_to=str(again))
  _train(searched, SEARCH, Mode.RESUME, mirror_to=str(again))
  assert _facts(_mirrored(again)) == _facts(first)
  # It is never read: the directory is as before.
  assert _files(searched) == before


def test_a_mirror_that_fails_is_left_out(searched, tmp_path, capsys):
  mirrored = mirror.open_mirror(str(tmp_path / 'm.log'), str(searched))
  (tmp_path / 'm.log').unlink()
  (tmp_path / 'm.log').mkdir()
  trial = generations.Trial(0, {'optimizer.learning_rate': 0.1}, ('a',))
  for _ in range(2):
    mirrored.follow(str(searched), HALVED, [(trial, ask.Known({}, (1.0,)))])
  assert capsys.readouterr().err.count('is left out') == 1


@pytest.mark.parametrize(
  'place, words',
  [
    ('', 'names no file'),
    ('nonsense://x', 'cannot be opened'),
    ('postgresql://[host/db', 'cannot be opened'),
    ('postgresql://me:secret@host/db', 'PGPASSWORD'),
  ],
)
def test_a_mirror_that_cannot_be_is_refused_before_anything(place, words):
  with pytest.raises(errors.Error) as info:
    mirror.open_mirror(place, 'runs/search')
  assert words in str(info.value) and 'secret' not in str(info.value)
