"""What a generation needs next: rows are made up, nothing is trained."""

from collections.abc import Iterator
import contextlib
import json
import math
import os
import pathlib
import signal
import sqlite3
import sys
from typing import Any

import numpy as np
import pytest

import lstm_variants as lv
from lstm_variants import cells, errors, optimizers
from lstm_variants.config import populations
from lstm_variants.launch import local
from lstm_variants.runs import (
  checkpoint,
  directory,
  exclusive,
  files,
  lease,
  lock,
  partial,
  results,
)
from lstm_variants.runs import writer as writer_lib
from lstm_variants.runs.directory import Mode
from lstm_variants.search import (
  ask,
  check,
  generations,
  growing,
  mirror,
  rungs,
  space,
  train,
)
from lstm_variants.training import (
  agreement,
  interrupt,
  loop,
  memory,
  states,
  tracking,
  watching,
)
from tests import conftest
from tests.search import command_test

RATE = {'config.optimizer.learning_rate': space.log_uniform(1e-4, 1e-1)}
BIASES = {'config.model.forget_bias': space.categorical([0.0, 1.0])}
RANDOM = space.space(RATE, sampler='random', trials=8, batch=2)
HALVED = space.space(
  RATE, sampler='qmc', trials=4, batch=4, halving=space.halving(8)
)
# Behind its rung all trials of one width go on, and a half of the others.
WIDTHS = space.space(
  {'config.model.hidden_features': space.categorical([4, 5]), **RATE},
  sampler='qmc',
  trials=5,
  batch=5,
  halving=space.halving(8),
)


def _config(changes=None):
  return conftest.tiny_config(
    {
      'training.updates': 16,
      'training.stop_when_solved': False,
      **(changes or {}),
    }
  )


def _row(member: populations.Population, index: int) -> dict[str, Any]:
  """Return the row of a run whose loss is its learning rate, below 1."""
  config = member.runs[index].config
  rate = config['optimizer']['learning_rate']
  return {
    'id': member.run_names[index],
    'population': member.name,
    'index': index,
    'task': member.settings.task_label,
    'model': 'm',
    'config': config,
    'status': 'unsolved' if rate < 1 else 'diverged',
    'sequences_to_success': None,
    'sequences': 4,
    'updates': member.settings.updates,
    'final': {'loss': rate},
    'params_in_use': 1,
    'params': 1,
    'seconds_per_update': 0.5,
  }


def _finish(workdir, member, its_lease=None) -> None:
  with writer_lib.PopulationWriter(workdir, member.name, its_lease) as writer:
    if writer.final.exists():
      writer.reopen()  # it is trained longer
    writer.start()
    writer.finish(
      [_row(member, index) for index in range(len(member.runs))],
      {'w': np.zeros(1)},
      {'updates_at_most': member.settings.updates, 'patience': 0},
    )


@pytest.fixture
def events(monkeypatch) -> list[str]:
  """What is asked for and trained, in turn: none of it takes time."""
  events: list[str] = []
  write = generations.write

  def asked(workdir, search, generation):
    write(workdir, search, generation)
    if not generation.rungs:
      events.append(f'ask {generation.number}')

  def trained(workdir, member, given, watch, progress, own=None):
    del given
    events.append(f'train {len(member.runs)}')
    progress.begin(member.name)
    _finish(workdir, member, own)
    rows = [{'run': name} for name in member.run_names]
    watch.see(watching.Evaluation(member.name, 16, 16, rows))
    progress.end()
    return False

  def taken(workdir, aside, whole, part, updates):
    del aside, whole
    if part.settings.updates == updates:
      _finish(workdir, part)

  monkeypatch.setattr(generations, 'write', asked)
  monkeypatch.setattr(loop, 'train_population', trained)
  monkeypatch.setattr(rungs, '_take', taken)
  return events


def _train(workdir, search, mode=Mode.NEW, changes=None, **options) -> None:
  train.train(str(workdir), 's', _config(changes), search, mode, **options)


def _begin(workdir, search, mode=Mode.NEW, changes=None) -> growing.Searched:
  config = _config(changes)
  base = check.check(config, search)
  return growing.begin(str(workdir), 's', config, search, base, mode)


@contextlib.contextmanager
def _opened(
  workdir, search, mode=Mode.NEW, changes=None
) -> Iterator[tuple[growing.Searched, lease.Worker | None]]:
  """Open a search, for what it does between two trainings."""
  state = _begin(workdir, search, mode, changes)
  with growing.opened(state, mode) as worker:
    yield state, worker


def test_after_each_generation_it_is_looked_at_what_is_left(tmp_path, events):
  _train(tmp_path, RANDOM._replace(ahead=1))
  # What is asked for as soon as it may be is there for whoever has nothing.
  assert ' '.join(event.replace(' 2', '') for event in events) == (
    'ask 0 ask 1 train ask train ask 3 train train'
  )


def test_the_same_trials_are_asked_for_whatever_is_known_of_those_ahead(
  tmp_path,
):
  search = space.space(
    {**RATE, 'config.model.forget_bias': space.uniform(0.0, 2.0)},
    trials=36,
    batch=12,  # TPE needs ten to begin with
    ahead=1,
  )
  state = _begin(tmp_path, search)
  train._ask(state)
  train._ask(state)
  trials = [trial for one in state.generations for trial in one.trials]

  def asked(losses):
    state.values.clear()
    for trial, loss in zip(trials, losses, strict=False):
      state.values[trial.number] = ask.Known(trial.params, (float(loss),))
    train._ask(state)
    return state.generations.pop()

  now = asked(range(12))  # nothing is known of the second generation
  assert (now.number, now.known) == (2, 1)
  assert asked(range(24)) == now
  assert asked([*range(12), *range(12, 0, -1)]) == now
  assert asked(range(24, 0, -1)).trials != now.trials


def test_a_trial_that_repeats_one_in_training_waits_for_it(tmp_path, events):
  search = space.space(
    BIASES, sampler='random', trials=8, batch=4, ahead=1, seed=1
  )
  with _opened(tmp_path, search) as (state, worker):
    (left,) = train._advance(state)
    first, second = state.generations
    runs = {trial.runs for trial in first.trials}
    assert {trial.runs for trial in second.trials} <= runs and len(runs) == 2
    assert left.number == 0 and not state.values
    train.train_populations(state, worker, left, watching.NOBODY)
    assert train._advance(state) == [] and len(state.values) == 8
    ends = {
      (trial.runs, *(state.values[trial.number].values or ()))
      for trial in (*first.trials, *second.trials)
    }
    assert len(ends) == 2 and all(math.isfinite(loss) for _, loss in ends)
  assert events == ['ask 0', 'ask 1', 'train 2']


def test_a_search_of_which_every_trial_is_refused_says_why(tmp_path):
  search = space.space(
    {'config.model.dropout': space.categorical([0.25, 0.5])},
    sampler='random',
    trials=2,
    batch=2,
  )
  with pytest.raises(space.SpaceError) as info:
    _train(tmp_path, search)
  assert 'every trial was refused: ' in str(info.value)
  assert 'num_layers of 2 or more' in str(info.value)


def test_a_trial_has_a_run_for_each_seed_and_their_median(tmp_path, events):
  search = RANDOM._replace(trials=2, seeds=3)
  with _opened(tmp_path, search, changes={'seed': 4}) as (state, worker):
    (left,) = train._advance(state)
    assert [len(trial.runs) for trial in state.generations[0].trials] == [3, 3]
    train.train_populations(state, worker, left, watching.NOBODY)
    assert train._advance(state) == []
  rows = results.read_rows(str(tmp_path))
  assert [row['config']['seed'] for row in rows] == 2 * [4, 5, 6]
  for trial in state.generations[0].trials:
    rate = trial.params['optimizer.learning_rate']
    assert state.values[trial.number].values == (rate,)
  assert events == ['ask 0', 'train 6']


def test_trials_that_were_changed_by_hand_are_not_gone_on_with(
  tmp_path, events
):
  few = RANDOM._replace(trials=2)
  _train(tmp_path, few)
  (path,) = (tmp_path / 'generations').iterdir()
  contents = json.loads(path.read_text())
  contents['trials'][1]['params']['optimizer.learning_rate'] *= 2
  path.write_text(json.dumps(contents))
  with pytest.raises(
    directory.ResumeError, match='they were changed, or anoth'
  ):
    _train(tmp_path, few, Mode.RESUME)
  assert events == ['ask 0', 'train 2']


def test_a_search_names_the_module_that_its_trials_need(
  tmp_path, events, monkeypatch
):
  for known in (cells.CELLS, lv.VARIANTS):
    monkeypatch.setattr(known, '_entries', dict(known))
    monkeypatch.setattr(known, '_modules', dict(known._modules))
  lv.register_cell('borrowed', cells.CELLS['gru'])
  models = {'config.model.variant': space.categorical(['vanilla', 'borrowed'])}
  search = space.space(models, sampler='random', trials=4, batch=4)
  _train(tmp_path, search)
  assert len(_study(tmp_path)['modules']) == 1 and len(events) == 3


def test_who_says_what_comes_next_has_the_directory_alone(tmp_path):
  with _opened(tmp_path, RANDOM, Mode.SHARE) as (_, worker):
    with growing.alone(str(tmp_path), worker):
      for take in (lock.hold(tmp_path, print), lock.hold_join(tmp_path, 0)):
        with pytest.raises(files.BusyError), take:
          raise AssertionError
    with lock.hold(tmp_path, print):  # it trains without
      pass


def test_who_says_what_comes_next_has_a_file_server_list_what_there_is(
  tmp_path, monkeypatch
):
  """It may remember for a minute that there was no further generation."""
  utime, changed = os.utime, []
  with _opened(tmp_path, RANDOM, Mode.SHARE) as (state, worker):
    with growing.alone(str(tmp_path), worker):
      train._ask(state)
    monkeypatch.setattr(
      os, 'utime', lambda path, *more: changed.append(path) or utime(path)
    )
    with growing.alone(str(tmp_path), worker):
      assert {tmp_path / results.GENERATIONS, tmp_path / 'populations'} <= {
        *changed
      }


def test_a_search_of_which_every_run_diverged_is_no_success(tmp_path, events):
  fields = {'config.optimizer.learning_rate': space.uniform(0.0625, 2.0)}
  search = space.space(fields, sampler='qmc', trials=4, batch=4)
  _train(tmp_path / 's', search, mirror_to=str(tmp_path / 'm.log'))
  statuses = [row['status'] for row in results.read_rows(str(tmp_path / 's'))]
  assert set(statuses) == {'diverged', 'unsolved'}
  # A dashboard has no place for a trial without a number.
  states = [one.state.name for one in _followed(str(tmp_path / 'm.log'))]
  assert sorted(states) == sorted(
    'FAIL' if status == 'diverged' else 'COMPLETE' for status in statuses
  )
  rates = space.uniform(1.0, 2.0)
  search = search._replace(fields={'optimizer.learning_rate': rates})
  with pytest.raises(local.DivergedError):
    _train(tmp_path / 'd', search)
  assert events == 2 * ['ask 0', 'train 4']


def test_trials_that_are_too_large_here_are_asked_for_as_anywhere(
  tmp_path, events, monkeypatch
):
  widths = {'config.model.hidden_features': space.categorical([4, 400])}
  search = space.space(widths, sampler='random', trials=4, batch=4)

  def asked(place):
    with _opened(tmp_path / place, search) as (state, worker):
      yield  # what is opened is checked on a large machine
      (left,) = train._advance(state)
      yield (tmp_path / place / 'generations/0000.json').read_bytes()
      train.train_populations(state, worker, left, watching.NOBODY)
      yield

  _, anywhere, _ = asked('large')
  small = asked('small')
  next(small)
  pages = {'SC_PAGE_SIZE': 1, 'SC_PHYS_PAGES': 2 * 10**7}
  monkeypatch.setattr(memory.os, 'sysconf', pages.__getitem__)
  local._check_room.cache_clear()
  assert next(small) == anywhere
  with pytest.raises(errors.Error, match='hidden_features=400.*machine has 0'):
    next(small)
  assert events == ['ask 0', 'train 1', 'train 1', 'ask 0']
  # Who begins there, or joins, is told before.
  with pytest.raises(space.SpaceError) as info:
    _train(tmp_path / 'new', search)
  line = str(info.value)
  assert 'in the largest trials config.model.hidden_features=400: 4 run' in line
  assert not (tmp_path / 'new').exists()
  # What is trained is read there.
  state = growing.begin(
    *(str(tmp_path / 'large'), 's', _config(), search),
    *(check.check(_config(), RANDOM), Mode.RESUME),
  )
  assert len(state.runs) == 2
  # Populations are at most so large.
  capped = {'study.population_size': 1}
  with pytest.raises(space.SpaceError, match='400: 1 run'):
    check.check(_config(capped), search)


def test_a_search_goes_on_with_the_data_that_it_began_with(
  tmp_path, events, series
):
  data, change = series
  few = RANDOM._replace(trials=2)
  _train(tmp_path / 's', few, changes=data)
  before = _files(tmp_path / 's')
  change()
  for mode in (Mode.RESUME, Mode.SHARE):
    with pytest.raises(directory.ResumeError, match='is of other data'):
      _train(tmp_path / 's', RANDOM, mode, data)
    assert _files(tmp_path / 's') == before
  assert events == ['ask 0', 'train 2']


def _files(workdir: pathlib.Path) -> dict[pathlib.Path, bytes]:
  return {
    path: path.read_bytes()
    for path in workdir.rglob('*')
    if path.is_file() and path.parent.name not in ('leases', 'workers')
  }


def test_at_a_rung_the_better_half_goes_on_and_what_is_whole_stays_whole(
  tmp_path, events, monkeypatch
):
  divide, parts = rungs.divide, []

  def divided(*arguments):
    parts.append(_study(tmp_path)['parts'])
    divide(*arguments)

  monkeypatch.setattr(rungs, 'divide', divided)

  def widths(trials):
    return sorted(trial.params['model.hidden_features'] for trial in trials)

  with _opened(tmp_path, WIDTHS) as (state, worker):
    (left,) = train._advance(state)
    trials = state.generations[0].trials
    # One more than a half of five, all of width 5 among them; by the rate,
    # which is the loss here.
    by_rate = sorted(
      trials, key=lambda trial: trial.params['optimizer.learning_rate']
    )
    better = sorted(by_rate[:3])
    assert (widths(better), widths(trials)) == ([4, 5, 5], [4, 4, 4, 5, 5])
    train.train_populations(state, worker, left, watching.NOBODY)
    (left,) = train._advance(state)
    (rung,) = state.generations[0].rungs
    assert rung == generations.Rung(8, tuple(one.number for one in better))
    assert left.title == 's, generation 1/1, to update 16'
    train.train_populations(state, worker, left, watching.NOBODY)
    assert train._advance(state) == []
    assert {number: known.rung for number, known in state.values.items()} == {
      trial.number: None if trial in better else 8 for trial in trials
    }
  assert events == ['ask 0', 'train 3', 'train 2', 'train 2', 'train 1']
  # Whoever reads the study meanwhile is told which runs have ended.
  assert parts and all(one == [2, 3] for one in parts)


def test_what_is_divided_is_what_its_server_has(tmp_path, events, monkeypatch):
  """NFS lists for up to a minute the checkpoints that there were."""
  take, asked, seen = rungs._take, [], []

  def taken(workdir, aside, *arguments):
    seen.append(aside / partial.CHECKPOINTS in asked)
    take(workdir, aside, *arguments)

  monkeypatch.setattr(os, 'utime', asked.append)
  monkeypatch.setattr(rungs, '_take', taken)
  with _opened(tmp_path, HALVED) as (state, worker):
    (left,) = train._advance(state)
    train.train_populations(state, worker, left, watching.NOBODY)
    train._advance(state)
  assert seen == [True, True]


def test_who_waits_reads_again_only_what_others_have_written(
  tmp_path, events, monkeypatch
):
  read_study, read, seen = results.read_study, generations.read, []
  with _opened(tmp_path, HALVED, Mode.SHARE) as (state, worker):
    quick = _begin(tmp_path, HALVED, Mode.SHARE)

    def look(state):
      del seen[:]
      state = growing.with_all_trials(state)
      return state, train._advance(state)

    look(quick)
    state, _ = look(state)
    monkeypatch.setattr(
      results, 'read_study', lambda *a: seen.append('study') or read_study(*a)
    )
    monkeypatch.setattr(
      generations, 'read', lambda *a: seen.append('trials') or read(*a)
    )
    state, (left,) = look(state)
    state, (left,) = look(state)
    assert not seen
    train.train_populations(quick, worker, left, watching.NOBODY)
    quick = quick._replace(search=HALVED._replace(trials=6))
    train._advance(quick)  # it decides a rung, and will ask for more
    state, (left,) = look(state)
    assert state.search.trials == 6 and len(state.generations[0].rungs) == 1
    assert {'study', 'trials'} == {*seen} and len(left.members[0].runs) == 2
  assert events == ['ask 0', 'train 4']


@pytest.mark.parametrize('search', [HALVED, WIDTHS])
def test_what_others_have_divided_or_trained_on_meanwhile_is_left_alone(
  tmp_path, events, search
):
  with _opened(tmp_path, search, Mode.SHARE) as (slow, worker):

    def train_left(state, left):
      return train.train_populations(state, worker, left, watching.NOBODY)

    (seen,) = train._advance(slow)
    quick = _begin(tmp_path, search, Mode.SHARE)
    (same,) = train._advance(quick)
    assert same == seen and train_left(quick, same)
    (further,) = train._advance(quick)
    assert train_left(quick, further) and not train._advance(quick)
    # The slow one sees no directory of what it was about to train.
    assert train_left(slow, seen)
    assert not train._advance(slow)
  whole = ['train 4', 'train 2']
  apart = ['train 2', 'train 3', 'train 2', 'train 1']
  expected = whole if search == HALVED else apart
  assert events[0] == 'ask 0' and sorted(events[1:]) == sorted(expected)
  rows = results.read_rows(str(tmp_path))
  assert len(rows) == len({row['id'] for row in rows}) == search.trials


MODELS = space.space(
  {'config.model.variant': space.categorical(['vanilla', 'peephole']), **RATE},
  sampler='qmc',
  trials=2,
  batch=2,
  halving=space.halving(8),
)


class _Killed(BaseException):
  """Stands for a process that is killed: nothing is tidied up by it."""


@pytest.mark.parametrize('is_retired_whole', [False, True])
def test_a_division_that_was_killed_is_done_again_of_what_was_put_aside(
  tmp_path, events, monkeypatch, is_retired_whole
):
  take, taken = rungs._take, []

  def killed(workdir, aside, whole, part, updates):
    if is_retired_whole:
      take(workdir, aside, whole, part, updates)
    else:
      with writer_lib.PopulationWriter(workdir, part.name) as writer:
        writer.start()
    raise _Killed

  def noted(workdir, aside, whole, part, updates):
    assert aside.is_dir()
    taken.append((len(whole.runs), part.run_names))
    if not (tmp_path / 'populations' / part.name).is_dir():
      take(workdir, aside, whole, part, updates)

  with monkeypatch.context() as patch, pytest.raises(_Killed):
    patch.setattr(rungs, '_take', killed)
    _train(tmp_path, MODELS)
  monkeypatch.setattr(rungs, '_take', noted)
  _train(tmp_path, MODELS, Mode.RESUME)
  (generation,) = generations.read_all(str(tmp_path), MODELS)
  # They differ in their toggles alone: each could have been apart before.
  one, other = generation.trials
  assert one.params['model.variant'] != other.params['model.variant']
  assert sorted(taken) == sorted([(2, one.runs), (2, other.runs)])
  assert not [*(tmp_path / 'divided').iterdir()]
  assert events == ['ask 0', 'train 2', 'train 1']


def test_populations_of_a_search_stay_what_they_are_whatever_is_known_later(
  tmp_path, events, monkeypatch
):
  few = MODELS._replace(halving=None)
  _train(tmp_path, few)
  adam = optimizers.OPTIMIZERS['adam']._replace(elementwise=False)
  known = {**optimizers.OPTIMIZERS, 'adam': adam}
  monkeypatch.setattr(optimizers.OPTIMIZERS, '_entries', known)
  _train(tmp_path, few, Mode.RESUME)
  more = few._replace(trials=4)
  _train(tmp_path, more, Mode.RESUME)
  assert events == ['ask 0', 'train 2', 'ask 1', 'train 1', 'train 1']
  one, two = generations.read_all(str(tmp_path), more)
  assert (one.whole_arrays, two.whole_arrays) == ((), ('adam',))


def test_a_signal_waits_until_a_population_is_divided(
  tmp_path, events, monkeypatch
):
  divide, waits = rungs.divide, []

  def divided(*arguments):
    waits.append(interrupt._State.deferred)
    divide(*arguments)
    monkeypatch.setattr(interrupt._State, 'requested', signal.SIGTERM)

  monkeypatch.setattr(rungs, 'divide', divided)
  with pytest.raises(interrupt.Interrupted, match='SIGTERM: saved'):
    _train(tmp_path, HALVED)
  assert waits == [True] and not interrupt._State.deferred
  assert events == ['ask 0', 'train 4']


@pytest.mark.parametrize('point', ['asks', 'divides', 'is counted out'])
def test_who_slept_in_its_turn_looks_again_and_goes_on_unless_counted_out(
  tmp_path, events, monkeypatch, capsys, point
):
  take, write = rungs._take, generations.write

  def wakes():
    """Another one has had the lock meanwhile."""
    monkeypatch.setattr(rungs, '_take', take)
    monkeypatch.setattr(generations, 'write', write)
    (tmp_path / lock.NAME).unlink()

  def asked(*arguments):
    wakes()
    write(*arguments)

  def counted_out(*arguments):
    for path in (tmp_path / lease.WORKERS).iterdir():
      path.unlink()
    asked(*arguments)

  def taken(*arguments):
    wakes()
    raise checkpoint.CheckpointError('has no checkpoint to go on from')

  if point == 'divides':
    monkeypatch.setattr(rungs, '_take', taken)
  else:
    late = asked if point == 'asks' else counted_out
    monkeypatch.setattr(generations, 'write', late)
  if point == 'is counted out':
    with pytest.raises(lease.LostError):
      _train(tmp_path, HALVED, Mode.SHARE)
    return
  _train(tmp_path, HALVED, Mode.SHARE)
  assert events == ['ask 0', 'train 4', 'train 2']
  said = capsys.readouterr().err
  assert 'taken over by another process' in said and 'looking again' in said


@contextlib.contextmanager
def _as_another(workdir: pathlib.Path) -> Iterator[None]:
  """Be another process, that takes the locks of this one, which sleeps."""
  mine = dict(exclusive.held)
  exclusive.held.clear()
  for path in workdir.glob('.*lock'):
    path.unlink()
  yield
  exclusive.held.clear()
  exclusive.held.update(mine)


def _train_as(
  worker: lease.Worker | None, workdir: pathlib.Path, search
) -> None:
  """Train a search as one who has joined it long ago."""
  state, left = train._turn(_begin(workdir, search, Mode.SHARE), worker)
  while left:
    for one in left:
      train.train_populations(state, worker, one, watching.NOBODY)
    state, left = train._turn(state, worker)


@pytest.mark.parametrize('name', ['0000.json', 'study.json'])
def test_who_slept_as_a_file_got_its_name_does_not_put_an_old_one_back(
  tmp_path, events, monkeypatch, capsys, name
):
  replace, seen = os.replace, []

  def late(source, target):
    # Not as it joins: what it writes in its turn.
    in_turn = bool(events) or name == '0000.json'
    if pathlib.Path(target).name == name and in_turn and not seen:
      seen.append(target)
      with _as_another(tmp_path):
        _train_as(worker, tmp_path, WIDTHS)
      seen.append((tmp_path / target).read_bytes())
    return replace(source, target)

  monkeypatch.setattr(os, 'replace', late)
  with _opened(tmp_path, WIDTHS, Mode.SHARE) as (state, worker):
    state, left = train._turn(state, worker)
  assert not left
  assert pathlib.Path(seen[0]).read_bytes() == seen[1]
  trained = ['train 1', 'train 2', 'train 2', 'train 3']
  assert events[0] == 'ask 0' and sorted(events[1:]) == trained
  assert 'looking again' in capsys.readouterr().err


def test_who_slept_as_he_divided_finishes_no_part_that_another_divides(
  tmp_path, monkeypatch
):
  """Both have the whole of the search, and write the same part."""
  monkeypatch.setattr(rungs, '_lanes', lambda *unused: {})
  progress = checkpoint.Progress(8, 1.0, 0, '', 'me')
  monkeypatch.setattr(states, 'load', lambda *unused: (None, progress))
  replace, finish, seen = os.replace, rungs._finish, []
  with _opened(tmp_path, HALVED, Mode.SHARE) as (state, worker):
    (left,) = train._advance(state)
    (stage,) = growing.stages_of(state, 0)
    (whole,) = left.members
    (part,) = growing.split(state, stage._replace(names=stage.names[:2]))
    _finish(str(tmp_path), whole)
    final = tmp_path / 'populations' / part.name
    aside = final.with_name(whole.name)

    def take():
      with growing.alone(str(tmp_path), worker):
        rungs._take(str(tmp_path), aside, whole, part, 8)

    def late(source, target):
      if target == final and not seen:
        seen.append(source)
        with _as_another(tmp_path):
          take()
      return replace(source, target)

    def wakes(*arguments):
      if seen:
        with pytest.raises(FileNotFoundError):
          replace(seen[0], final)
      finish(*arguments)

    monkeypatch.setattr(os, 'replace', late)
    monkeypatch.setattr(rungs, '_finish', wakes)
    with pytest.raises(lock.LostError):
      take()
  rows = results.read_population_rows(str(tmp_path), part.name)
  assert [row['id'] for row in rows] == list(part.run_names)


def test_a_part_that_is_begun_is_not_divided_again(tmp_path, monkeypatch):
  """Whoever began it had another lock."""
  monkeypatch.setattr(rungs, '_lanes', lambda *unused: {})
  progress = checkpoint.Progress(8, 1.0, 0, '', 'me')
  monkeypatch.setattr(states, 'load', lambda *unused: (None, progress))
  with _opened(tmp_path, HALVED, Mode.SHARE) as (state, worker):
    (left,) = train._advance(state)
    (whole,) = left.members
    (part,) = growing.split(state, growing.Stage(whole.run_names[:2], 16, None))
    _finish(str(tmp_path), whole)
    populations_at = tmp_path / 'populations'
    for _ in range(2):
      with growing.alone(str(tmp_path), worker):
        rungs._take(
          *(str(tmp_path), populations_at / whole.name, whole, part, 8)
        )
  assert len([*populations_at.glob(f'{part.name}.*')]) == 1


def test_who_searches_alone_removes_what_others_may_give_a_name(
  tmp_path, events
):
  _train(tmp_path, RANDOM)
  aside = tmp_path / results.GENERATIONS / f'0000.json.1-{12 * "a"}.tmp'
  aside.touch()
  _train(tmp_path, RANDOM, Mode.RESUME)
  assert not aside.exists()


def _followed(place: str) -> list[Any]:
  """Return the trials of a mirror."""
  import optuna

  if '://' not in place:
    backend = optuna.storages.journal.JournalFileBackend(place)
    journal = optuna.storages.JournalStorage(backend)
    return optuna.load_study(study_name=None, storage=journal).trials
  storage = optuna.storages.RDBStorage(place)
  try:
    return optuna.load_study(study_name=None, storage=storage).trials
  finally:
    storage.remove_session()
    storage.engine.dispose()


@pytest.mark.parametrize('place', ['m.log', 'sub/m.log', 'sqlite:///{}/m.db'])
def test_a_mirror_may_be_a_file_of_the_run_directory(tmp_path, events, place):
  workdir = tmp_path / 's'
  url = place.format(workdir) if '://' in place else str(workdir / place)
  _train(workdir, RANDOM, mirror_to=url)
  assert len(_followed(url)) == RANDOM.trials
  _train(workdir, RANDOM, Mode.OVERWRITE, mirror_to=url)
  assert events.count('ask 0') == 2


@pytest.fixture
def connections(monkeypatch) -> list[sqlite3.Connection]:
  """The connections to a database that this process has opened."""
  opened: list[sqlite3.Connection] = []
  connect = sqlite3.dbapi2.connect

  def keep(*arguments, **options):
    opened.append(connect(*arguments, **options))
    return opened[-1]

  monkeypatch.setattr(sqlite3.dbapi2, 'connect', keep)
  return opened


def _are_closed(connections: list[sqlite3.Connection]) -> bool:
  for connection in connections:
    with pytest.raises(sqlite3.ProgrammingError, match='closed'):
      connection.execute('SELECT 1')
  return len(connections) > 0


@pytest.mark.parametrize('end', ['done', 'interrupted'])
def test_a_database_is_closed_however_the_search_that_it_follows_ends(
  tmp_path, events, monkeypatch, connections, end
):
  def stop(*arguments):
    raise interrupt.Interrupted(signal.SIGTERM, saved=True)

  if end == 'interrupted':
    monkeypatch.setattr(train, 'train_populations', stop)
  expected = pytest.raises(interrupt.Interrupted)
  with expected if end == 'interrupted' else contextlib.nullcontext():
    _train(tmp_path / 's', RANDOM, mirror_to=f'sqlite:///{tmp_path}/m.db')
  assert _are_closed(connections)


def test_a_database_of_another_version_of_optuna_is_refused_and_closed(
  tmp_path, connections
):
  url = f'sqlite:///{tmp_path}/m.db'
  mirror.open_mirror(url, 'elsewhere')
  with contextlib.closing(sqlite3.connect(tmp_path / 'm.db')) as database:
    database.execute("UPDATE alembic_version SET version_num = 'v0.9.0.a'")
    database.commit()
  with pytest.raises(mirror.MirrorError, match='no longer compatible') as info:
    mirror.open_mirror(url, 'elsewhere')
  # Also while somebody has the error, and with it what made it.
  assert info.tb and _are_closed(connections)


@pytest.mark.parametrize('content', ['hello', '{"a": 1}', 'two\nlines\n'])
def test_nothing_is_written_behind_a_file_that_is_no_journal(
  tmp_path, events, capsys, content
):
  pytest.importorskip('optuna')
  path, inside = tmp_path / 'notes.txt', tmp_path / 's' / 'notes.txt'
  path.write_text(content)
  with pytest.raises(mirror.MirrorError, match='is no journal .*notes.txt.log'):
    _train(tmp_path / 's', RANDOM, mirror_to=str(path))
  assert not inside.parent.exists() and path.read_text() == content
  _train(tmp_path / 's', RANDOM)
  inside.write_text(content)
  _train(tmp_path / 's', RANDOM, Mode.RESUME, mirror_to=str(inside))
  assert inside.read_text() == content
  assert 'is left out' in capsys.readouterr().err
  path.unlink()
  for mode in (Mode.RESUME, Mode.RESUME):
    _train(tmp_path / 's', RANDOM, mode, mirror_to=str(path))
  assert len(_followed(str(path))) == 8


def test_while_a_mirror_is_written_others_can_have_the_search(
  tmp_path, events, monkeypatch
):
  write, place = mirror._write, str(tmp_path / 'm.log')
  begun, written = [], []

  def slow(*arguments):
    begun.append(None)
    with lock.hold_among(tmp_path / 's', print, 0):
      write(*arguments)
    written.append(None)

  monkeypatch.setattr(mirror, '_write', slow)
  _train(tmp_path / 's', RANDOM, Mode.SHARE, mirror_to=place)
  assert len(_followed(place)) == RANDOM.trials
  assert len(written) == len(begun) == 4


def test_of_those_who_mirror_a_search_one_writes_and_the_others_do_later(
  tmp_path, monkeypatch, capsys
):
  written: list[int] = []
  monkeypatch.setattr(
    mirror, '_write', lambda *arguments: written.append(len(arguments[-1]))
  )
  trials: Any = [None]
  mirrored = mirror.Mirror('m.log', 'a storage')

  def follow(patience=0.0):
    mirrored.follow(str(tmp_path), RANDOM, trials, patience)

  with lock.hold_mirror(tmp_path, 0):
    follow()
    assert capsys.readouterr().err == ''
    follow(patience=0.01)
  assert not written and 'm.log: may lack trials' in capsys.readouterr().err
  follow()
  follow()  # there is nothing new
  trials.append(None)
  follow()
  assert written == [1, 2]


def test_no_mirror_is_left_beside_a_search_that_is_refused(tmp_path, events):
  _train(tmp_path / 's', RANDOM._replace(trials=2))
  with pytest.raises(directory.ExistsError):
    _train(tmp_path / 's', RANDOM, mirror_to=str(tmp_path / 'm.log'))
  assert not (tmp_path / 'm.log').exists()


def _study(workdir: pathlib.Path) -> dict[str, Any]:
  return json.loads((workdir / 'study.json').read_text())


def test_generations_are_counted_also_where_one_was_the_last_once(
  tmp_path, events, capsys
):
  _train(tmp_path, RANDOM._replace(trials=1))
  two = RANDOM._replace(trials=2)
  with _opened(tmp_path, two, Mode.RESUME) as (state, _):
    (left,) = train._advance(state)
    assert left.title == 's, generation 2/2, to update 16'
  _train(tmp_path, two, Mode.RESUME)
  assert 'generation 2/2: 2/2 trials' in capsys.readouterr().out
  assert events == ['ask 0', 'train 1', 'ask 1', 'train 1']


def test_a_line_about_a_generation_is_folded_on_a_terminal(
  tmp_path, events, capsys, monkeypatch
):
  _train(tmp_path, RANDOM)
  with _opened(tmp_path, RANDOM, Mode.RESUME) as (state, _):
    train._advance(state)
    capsys.readouterr()
    monkeypatch.setattr(sys.stdout, 'isatty', lambda: True)
    monkeypatch.setenv('COLUMNS', '40')
    train._know(state, 1)
  lines = capsys.readouterr().out.splitlines()
  assert len(lines) > 1 and max(map(len, lines)) <= 40
  assert ' '.join(lines).startswith('generation 2/')


def test_the_best_so_far_is_of_those_that_were_trained_to_the_end(tmp_path):
  state = _begin(tmp_path, RANDOM._replace(trials=4, batch=4))
  train._ask(state)
  ends = ((math.inf, None), (0.5, None), (0.25, 8), (0.75, None))
  for trial, (loss, rung) in zip(
    state.generations[0].trials, ends, strict=True
  ):
    state.values[trial.number] = ask.Known(trial.params, (loss,), rung)
  line = train._best_so_far(state, 0)
  assert line.startswith('generation 1/1: 4/4 trials, best loss 0.5: trial 1 (')
  score = state.search._replace(objectives=(space.maximize('score'),))
  line = train._best_so_far(state._replace(search=score), 0)
  assert 'best score 0.75: trial 3' in line


def test_of_those_who_share_a_search_the_one_with_most_trials_counts(
  tmp_path, events, monkeypatch
):
  few, usual = RANDOM._replace(trials=2), loop.train_population
  after = []

  def joined(*arguments):
    monkeypatch.setattr(loop, 'train_population', usual)
    with _opened(tmp_path, RANDOM, Mode.SHARE) as (state, _):
      train._advance(state)
      after.append((tmp_path / 'study.json').read_bytes())
    return usual(*arguments)

  def grown(*arguments):
    grow(*arguments)
    after.append((tmp_path / 'study.json').read_bytes())

  grow = directory.grow
  monkeypatch.setattr(directory, 'grow', grown)
  monkeypatch.setattr(loop, 'train_population', joined)
  _train(tmp_path, few, Mode.SHARE)
  # It stays to the end of the other's; study.json is not written by turns.
  assert len(results.read_rows(str(tmp_path))) == RANDOM.trials
  wanted = [json.loads(one)['search']['trials'] for one in after]
  assert wanted == sorted(wanted) and set(wanted) == {2, 8}
  with pytest.raises(directory.ResumeError, match='trials: 8 before, 2 now'):
    _train(tmp_path, few, Mode.SHARE)


def test_a_tracker_that_is_wanted_later_gets_what_is_trained(tmp_path, events):
  few = RANDOM._replace(trials=4)
  _train(tmp_path, few)
  _train(tmp_path, few, Mode.RESUME, {'training.trackers': 'csv'})
  for name in results.populations(str(tmp_path)):
    record = tmp_path / 'populations' / name / tracking.RECORD
    assert 'csv' in record.read_text()
  assert events == ['ask 0', 'train 2', 'ask 1', 'train 2']


def test_those_who_share_a_search_save_and_track_alike(tmp_path, events):
  saved = {'training.save_interval': 7}
  often = {'training.save_interval': 3}
  with _opened(tmp_path, RANDOM, Mode.SHARE):
    with pytest.raises(directory.ResumeError) as info:
      _train(tmp_path, RANDOM, Mode.SHARE, saved)
  assert 'save_interval: ' in str(info.value)
  assert str(info.value).endswith('wait for the others')
  _train(tmp_path, RANDOM, Mode.SHARE, saved)
  with _opened(tmp_path, RANDOM, Mode.RESUME, often) as (state, _):
    train._advance(state)
  study = _study(tmp_path)
  for config in (study['config'], *study['runs']):
    assert config['training']['save_interval'] == 3
  with _opened(tmp_path, RANDOM, Mode.SHARE, often):
    _train(tmp_path, RANDOM, Mode.SHARE, often)


def test_a_search_that_is_saved_otherwise_counts_out_who_sleeps(
  tmp_path, events
):
  """When it wakes it would save, and write study.json, in the old way."""
  often = {'training.save_interval': 3}
  with _opened(tmp_path, RANDOM, Mode.SHARE) as (state, slept):
    train._advance(state)
    (path,) = (tmp_path / lease.WORKERS).iterdir()
    age = path.stat().st_mtime - 3 * lease.length()
    os.utime(path, (age, age))
    with _opened(tmp_path, RANDOM, Mode.SHARE, often):
      # So that nobody joins in between who does as it was done before.
      assert _study(tmp_path)['config']['training']['save_interval'] == 3
      with pytest.raises(lease.LostError), growing.alone(str(tmp_path), slept):
        raise AssertionError


def _searching(search):
  """State what `RANDOM` is, as a config file does."""
  rate = search.log_uniform(1e-4, 1e-1)
  return search.space(
    {'config.optimizer.learning_rate': rate},
    sampler='random',
    trials=8,
    batch=2,
  )


def test_python_searches_as_the_command_does_and_goes_on_with_it(
  tmp_path, events, capsys
):
  _train(tmp_path / 'command', RANDOM)
  study, seen = lv.Study(_config(), name='s'), []
  capsys.readouterr()
  mirror_to = tmp_path / 'm.log'
  found = study.search(
    *(tmp_path / 'python', _searching),
    mirror=mirror_to,
    callback=seen.extend,
    progress=False,
  )
  assert capsys.readouterr().out == ''
  assert len(found.runs()) == len(seen) == len(_followed(str(mirror_to))) == 8
  ours, theirs = _study(tmp_path / 'python'), _study(tmp_path / 'command')
  del ours['created'], theirs['created']
  assert ours == theirs
  events.clear()
  study.search(tmp_path / 'command', _searching, resume=True)
  study.search(tmp_path / 'command', _searching, share=True)
  assert not events
  study.search(tmp_path / 'command', _searching, overwrite=True)
  assert 'generation 4/4: 8/8 trials' in capsys.readouterr().out
  assert events.count('train 2') == 4


def test_python_takes_the_search_of_a_config_file(tmp_path, events):
  file = tmp_path / 'tiny.py'
  file.write_text(command_test.CONFIG)
  found = lv.Study(f'{file}:6').search(tmp_path / 's', progress=False)
  assert found.study['name'] == 'tiny' and found.study['search']['trials'] == 6
  assert [event for event in events if event[0] == 'a'] == [
    *('ask 0', 'ask 1', 'ask 2'),
  ]


@pytest.mark.parametrize(
  'arguments, line',
  [
    ({}, 'get_search: None is no function; nearest: lambda search: '),
    ({'get_search': RANDOM}, 'is no function'),
    ({'get_search': lambda search: {}}, 'get_search: returns {}, no search'),
    ({'resume': True}, 'holds nothing to go on with; leave out resume=True'),
    ({'resume': True, 'overwrite': True}, 'nearest: resume'),
    ({'share': 'yes'}, "share='yes': not True or False"),
    ({'mirror': ''}, 'mirror=: names no file; nearest: mirror=optuna.log'),
    ({'mirror': 3}, 'mirror=3: is no path'),
    ({'callback': 3}, 'callback=3: is no function of rows'),
    ({'progress': 1}, 'progress=1: not True or False'),
  ],
)
def test_python_refuses_a_search_in_a_line_and_writes_nothing(
  tmp_path, arguments, line
):
  if arguments:
    arguments = {'get_search': _searching, **arguments}
  with pytest.raises(lv.Error) as info:
    lv.Study(_config()).search(tmp_path / 's', **arguments)
  assert line in str(info.value) and '--' not in str(info.value)
  assert not (tmp_path / 's').exists()


def test_python_searches_no_grid_and_by_one_process(tmp_path, monkeypatch):
  study = lv.Study(_config(), {'seed': range(2)})
  with pytest.raises(lv.Error, match='a search sets the fields itself'):
    study.search(tmp_path, _searching)
  monkeypatch.setattr(agreement, 'count', lambda: 2)
  with pytest.raises(lv.Error, match='search: is for processes that are not'):
    train.train(str(tmp_path), 's', _config(), RANDOM)
