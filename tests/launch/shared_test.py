"""A study that several processes train: who takes what, and what is said."""

import contextlib
import errno
import json
import os
import pathlib
import re
import shutil
from typing import Any, NamedTuple

import numpy as np
import pytest

from lstm_variants.config import populations
from lstm_variants.launch import local, shared
from lstm_variants.runs import (
  checkpoint,
  directory,
  exclusive,
  files,
  holder,
  lease,
  lock,
  partial,
  results,
)
from lstm_variants.runs import writer as writer_lib
from lstm_variants.study import Study
from lstm_variants.training import agreement, loop, resume, watching
from tests import conftest

SHARE = directory.Mode.SHARE
TOKEN = re.compile(rf'\.[0-9a-f]{{16}}{partial.SUFFIX}')


def _study(changes=None) -> Study:
  """Three populations: of one run, of two, and of one that is longer."""
  config = conftest.tiny_config({'study.population_size': 2, **(changes or {})})
  grid = [
    {'config.model.variant': 'gru'},
    *({'config.seed': seed} for seed in (1, 2)),
    {'config.model.variant': 'mgu', 'config.training.updates': 90},
  ]
  return Study(config, grid, name='three')


def _members(study: Study) -> list[populations.Population]:
  return populations.split(study._expanded)


def _row(name: str, member: populations.Population, status: str):
  return {
    'id': name,
    'population': member.name,
    'task': member.settings.task_label,
    'model': 'm',
    'config': {'seed': 0},
    'status': status,
    'sequences_to_success': None,
    'sequences': 4,
    'updates': 1,
    'final': {},
    'params_in_use': 1,
    'params': 1,
    'seconds_per_update': 0.5,
  }


class Trained(NamedTuple):
  """What was trained, and how all of it ends."""

  names: list[str]
  status: list[str]


@pytest.fixture
def trained(monkeypatch) -> Trained:
  """Populations as they are trained, which takes no time here."""
  names, status = [], ['unsolved']

  def train(workdir, member, given, watch, progress, its_lease):
    names.append(member.name)
    progress.begin(member.name)
    with writer_lib.PopulationWriter(workdir, member.name, its_lease) as writer:
      writer.adopt()
      writer.start()
      rows = [_row(name, member, status[0]) for name in member.run_names]
      provenance = {'updates_at_most': member.settings.updates, 'patience': 0}
      writer.finish(rows, {'w': np.zeros(1)}, provenance)
    progress.end()
    return False

  monkeypatch.setattr(loop, 'train_population', train)
  return Trained(names, status)


def test_the_longest_come_first_and_each_worker_begins_elsewhere(
  tmp_path, trained
):
  study = _study()
  of_one, of_two, longest = (member.name for member in _members(study))
  study.train(tmp_path / 'a', share=True)
  assert trained.names == [longest, of_two, of_one]
  del trained.names[:]
  with contextlib.ExitStack() as stack:
    runs = study._expanded
    plan = local.make_plan(str(tmp_path / 'b'), runs, SHARE)
    for _ in range(2):
      open_study = directory.join_study(
        *(str(tmp_path / 'b'), 'x', {}, plan.tasks, plan.configs),
        study_format=plan.study_format,
      )
      worker = stack.enter_context(open_study)
      # Their names are drawn: whichever comes second.
      path = next((tmp_path / 'b' / lease.WORKERS).iterdir())
    assert {worker.rank} <= {0, 1} and path.name.endswith(lease.SUFFIX)
    worker.rank = 4  # of three
    silent: Any = _Silent()
    shared.train_left(
      *(str(tmp_path / 'b'), worker, plan.members),
      *(None, watching.NOBODY, silent),
    )
  assert trained.names == [of_two, of_one, longest]


def test_what_is_divided_while_it_is_looked_at_is_not_trained(
  tmp_path, trained, monkeypatch
):
  study = _study()
  member, workdir = _members(study)[0], str(tmp_path)
  decided = []

  def divided(*arguments):
    decided.append(True)
    raise results.WorkdirError('provenance.json: no such file')

  def claimed(name):
    monkeypatch.setattr(results, 'is_finished', lambda *unused: True)
    monkeypatch.setattr(results, 'read_population_provenance', divided)
    return claim(name)

  with _joined(study, workdir) as worker:
    claim = worker.claim
    monkeypatch.setattr(worker, 'claim', claimed)
    silent: Any = _Silent()
    others = shared.train_left(
      *(workdir, worker, [member], None, watching.NOBODY, silent),
      is_wanted=lambda: not decided,
    )
  assert decided and not others and not trained.names


class _Silent:
  """A progress that nobody sees."""

  def begin(self, name):
    del name

  skip = begin

  def end(self):
    pass

  give_up = end


def test_what_others_train_is_left_to_them_and_said(tmp_path, trained, capsys):
  study = _study()
  name = _members(study)[1].name
  runs, workdir = study._expanded, str(tmp_path)
  with _joined(study, workdir) as worker, worker.claim(name):
    assert shared.train(workdir, 'three', study.config, runs) == 1
    assert len(trained.names) == 2 and name not in trained.names
    assert len(results.read_runs(workdir)) == 2
    with pytest.raises(files.BusyError, match='train here with share=True'):
      study.train(tmp_path, overwrite=True)
  assert shared.train(workdir, 'three', study.config, runs) == 0
  assert trained.names[2:] == [name]
  assert shared.train(workdir, 'three', study.config, runs) == 0
  assert len(trained.names) == 3
  assert capsys.readouterr().out.count('already finished') == 5


@contextlib.contextmanager
def _joined(study, workdir):
  """Be another worker of the study."""
  plan = local.make_plan(workdir, study._expanded, SHARE)
  with directory.join_study(
    *(workdir, 'three', {}, plan.tasks, plan.configs),
    study_format=plan.study_format,
  ) as worker:
    yield worker


def test_who_waits_takes_over_what_ends(tmp_path, trained, monkeypatch):
  study = _study()
  name = _members(study)[0].name
  with _joined(study, str(tmp_path)) as worker:
    with contextlib.ExitStack() as stack:
      stack.enter_context(worker.claim(name))
      # When one waits, it ends.
      monkeypatch.setattr(shared.time, 'sleep', lambda _: stack.close())
      read = study.train(tmp_path, share=True, wait=True)
  assert trained.names[-1] == name and len(read.runs()) == 4


def _put(path: pathlib.Path, age: float = 0.0) -> None:
  """Write the lease of a process of another machine."""
  who = holder.describe()._replace(host='elsewhere', boot='another')
  path.write_bytes(who.line() + b'{"seconds": 60, "log": ""}')
  now = path.stat().st_mtime - age
  os.utime(path, (now, now))


def _finish(workdir: pathlib.Path, member: populations.Population) -> None:
  """Leave a population as another process does that has trained it."""
  place = workdir / 'populations' / member.name
  place.mkdir(parents=True)
  record = {'updates_at_most': member.settings.updates, 'patience': 0}
  (place / 'provenance.json').write_text(json.dumps(record))


def test_of_many_populations_those_of_others_are_not_looked_at_singly(
  tmp_path, trained, monkeypatch
):
  study = _study()
  (one, *_) = _members(study)
  members = [one._replace(name=f'p{number}') for number in range(200)]
  leases, looks, rounds = tmp_path / lease.LEASES, [], []
  train = loop.train_population

  def meanwhile(workdir, member, *arguments):
    """Others have trained all but ten, which they train."""
    for each in members:
      if each.name in {f'p{number}' for number in range(10)} - {member.name}:
        _put(leases / each.name)
      elif each.name != member.name:
        _finish(tmp_path, each)
    monkeypatch.setattr(shared, '_FRESH', 0.0)  # as it took a while
    train(workdir, member, *arguments)
    for owner, name in (exclusive, 'look'), (resume, 'is_done'):
      _count(monkeypatch, owner, name, looks)

  def pause(seconds):
    rounds.append(len(looks))
    if len(rounds) == 2:
      for path in leases.iterdir():
        path.unlink()
        _finish(tmp_path, one._replace(name=path.name))

  monkeypatch.setattr(loop, 'train_population', meanwhile)
  monkeypatch.setattr(shared.time, 'sleep', pause)
  silent: Any = _Silent()
  with _joined(study, str(tmp_path)) as worker:
    others = shared.train_left(
      *(str(tmp_path), worker, members, None, watching.NOBODY, silent, True)
    )
  assert not others and len(trained.names) == 1
  # Of the ten it is seen once that they are taken.
  assert 9 <= rounds[0] <= 2 * 10 and rounds[1] == len(looks) == rounds[0]


def _count(monkeypatch, owner: Any, name: str, calls: list[Any]) -> None:
  call = getattr(owner, name)

  def counted(*arguments, **options):
    calls.append(arguments)
    return call(*arguments, **options)

  monkeypatch.setattr(owner, name, counted)


def test_what_others_had_as_one_came_is_taken_over_as_soon_as_it_has_ended(
  tmp_path, trained, monkeypatch
):
  study = _study()
  member = _members(study)[0]
  sleep, pauses = shared.time.sleep, []

  def pause(seconds):
    pauses.append(seconds)
    sleep(0.01)
    assert len(pauses) < 100

  monkeypatch.setattr(shared.time, 'sleep', pause)
  silent: Any = _Silent()
  with _joined(study, str(tmp_path)) as worker:
    _put(tmp_path / lease.LEASES / member.name, age=59.95)
    others = shared.train_left(
      *(str(tmp_path), worker, [member], None, watching.NOBODY, silent, True)
    )
  assert not others and trained.names == [member.name] and pauses


def _kill(path: pathlib.Path) -> None:
  """Write the lease of a process of this machine that has ended."""
  path.write_bytes(
    holder.describe()._replace(start='1').line() + b'{"seconds": 60, "log": ""}'
  )


def test_who_waits_takes_over_at_once_from_who_had_it_next_and_was_killed_here(
  tmp_path, trained, monkeypatch
):
  """Another machine had it first: its lease would hold for a minute."""
  study = _study()
  member, pauses = _members(study)[0], []
  path = tmp_path / lease.LEASES / member.name

  def pause(seconds):
    pauses.append(seconds)
    if len(pauses) == 1:
      path.rename(tmp_path / 'given back')  # else its number may come again
      _kill(path)
    assert len(pauses) < 3

  monkeypatch.setattr(shared, '_FRESH', 0.0)
  monkeypatch.setattr(shared.time, 'sleep', pause)
  silent: Any = _Silent()
  with _joined(study, str(tmp_path)) as worker:
    _put(path)
    others = shared.train_left(
      *(str(tmp_path), worker, [member], None, watching.NOBODY, silent, True)
    )
  assert not others and trained.names == [member.name]


def test_who_does_not_wait_looks_once_more_at_what_it_leaves_to_others(
  tmp_path, trained, monkeypatch
):
  study = _study()
  members = _members(study)
  longest = members[-1].name
  path, train = tmp_path / lease.LEASES / longest, loop.train_population

  def meanwhile(workdir, member, *arguments):
    train(workdir, member, *arguments)
    if member.name != longest:
      _kill(path)  # a file of the same number

  monkeypatch.setattr(loop, 'train_population', meanwhile)
  monkeypatch.setattr(shared, '_FRESH', 0.0)
  silent: Any = _Silent()
  with _joined(study, str(tmp_path)) as worker:
    _put(path)
    others = shared.train_left(
      *(str(tmp_path), worker, members, None, watching.NOBODY, silent)
    )
  assert not others and trained.names[-1] == longest


def test_what_others_have_trained_counts_for_nobody_who_is_counted_out(
  tmp_path, trained, monkeypatch
):
  """Who has counted it out may train longer."""
  study = _study()
  members = _members(study)
  train = loop.train_population

  def sleeps(workdir, member, *arguments):
    train(workdir, member, *arguments)
    for each in members:
      if each.name != member.name:
        _finish(tmp_path, each)
    for path in (tmp_path / lease.WORKERS).iterdir():
      path.unlink()
    monkeypatch.setattr(shared, '_FRESH', 0.0)  # as it took a while

  monkeypatch.setattr(loop, 'train_population', sleeps)
  silent: Any = _Silent()
  with _joined(study, str(tmp_path)) as worker:
    with pytest.raises(lease.LostError):
      shared.train_left(
        *(str(tmp_path), worker, members, None, watching.NOBODY, silent)
      )
  assert len(trained.names) == 1


def test_what_was_trained_before_one_came_is_looked_at(tmp_path, monkeypatch):
  """It may have been trained for less than is wanted now."""
  study, longer = _study(), []
  member = _members(study)[0]
  less = member.settings.replace(updates=member.settings.updates - 10)
  monkeypatch.setattr(
    loop, 'train_population', lambda workdir, *unused: longer.append(unused[0])
  )
  silent: Any = _Silent()
  with _joined(study, str(tmp_path)) as worker:
    _finish(tmp_path, member._replace(settings=less))
    shared.train_left(
      *(str(tmp_path), worker, [member], None, watching.NOBODY, silent)
    )
  assert longer == [member]


def _trained_for(workdir: pathlib.Path) -> dict[str, int]:
  """Return for how many updates each population was trained."""
  return {
    path.parent.name: json.loads(path.read_text())['updates_at_most']
    for path in workdir.glob('populations/*/provenance.json')
  }


def test_who_slept_as_one_joined_who_trains_longer_finishes_nothing(
  tmp_path, trained, monkeypatch
):
  short, longer = _study(), _study({'training.updates': 40})
  name, replace = _members(short)[1].name, os.replace

  def late(source, target):
    if pathlib.Path(target).name != name:
      return replace(source, target)
    monkeypatch.setattr(os, 'replace', replace)
    for path in (*tmp_path.glob('leases/*'), *tmp_path.glob('workers/*')):
      os.utime(path, (1e9, 1e9))
    begin = shared._Others.__init__

    def wakes(*arguments):
      begin(*arguments)
      with contextlib.suppress(FileNotFoundError):
        replace(source, target)

    monkeypatch.setattr(shared._Others, '__init__', wakes)
    monkeypatch.setattr(shared, '_FRESH', 0.0)
    longer.train(tmp_path, share=True, wait=True)
    raise KeyboardInterrupt

  monkeypatch.setattr(os, 'replace', late)
  with pytest.raises(KeyboardInterrupt):
    short.train(tmp_path, share=True)
  wanted = {one.name: one.settings.updates for one in _members(longer)}
  assert _trained_for(tmp_path) == wanted


def test_what_a_host_remembers_of_a_directory_is_not_what_there_was(
  tmp_path, trained, monkeypatch
):
  """NFS lists anew only what this host changes, for up to a minute."""
  short, longer = _study(), _study({'training.updates': 40})
  (one, two, _) = _members(longer)
  short.train(tmp_path, share=True)
  utime, listdir, changed = os.utime, os.listdir, set()

  def changes(path, *arguments):
    changed.add(pathlib.Path(path).name)
    utime(path, *arguments)

  def remembers(path):
    names = listdir(path)
    if not {one.name, two.name} & {*names} or 'populations' in changed:
      return names
    changed.add('populations')  # a second look comes later
    return []

  longer_trained = []
  monkeypatch.setattr(
    loop,
    'train_population',
    lambda workdir, member, *unused: longer_trained.append(member.name),
  )
  monkeypatch.setattr(os, 'utime', changes)
  monkeypatch.setattr(shared, '_FRESH', 0.0)
  silent: Any = _Silent()
  with _joined(longer, str(tmp_path)) as worker:
    monkeypatch.setattr(os, 'listdir', remembers)
    changed.clear()
    shared.train_left(
      *(str(tmp_path), worker, _members(longer)),
      *(None, watching.NOBODY, silent),
    )
  assert longer_trained == [two.name, one.name]


def test_what_another_host_has_finished_a_moment_ago_is_not_trained_again(
  tmp_path, trained, monkeypatch
):
  """NFS says for up to a minute that there is nothing, where there was not."""
  study, changed = _study(), {'populations'}
  member = _members(study)[0]
  path = tmp_path / lease.LEASES / member.name
  utime, listdir, is_finished = os.utime, os.listdir, results.is_finished

  def changes(place, *arguments):
    changed.add(pathlib.Path(place).name)
    utime(place, *arguments)

  def pause(seconds):
    path.unlink()
    _finish(tmp_path, member)
    changed.clear()

  def lists(place):
    is_known = 'populations' in changed or 'populations' not in str(place)
    return listdir(place) if is_known else []

  monkeypatch.setattr(os, 'utime', changes)
  monkeypatch.setattr(os, 'listdir', lists)
  monkeypatch.setattr(
    *(results, 'is_finished'),
    lambda *names: 'populations' in changed and is_finished(*names),
  )
  monkeypatch.setattr(shared, '_FRESH', 0.0)
  monkeypatch.setattr(shared.time, 'sleep', pause)
  silent: Any = _Silent()
  with _joined(study, str(tmp_path)) as worker:
    _put(path)
    shared.train_left(
      *(str(tmp_path), worker, [member], None, watching.NOBODY, silent, True)
    )
  assert not trained.names and changed


def test_a_study_that_diverged_altogether_is_told_by_who_comes_last(
  tmp_path, trained
):
  study = _study()
  trained.status[0] = 'diverged'
  with _joined(study, str(tmp_path)) as worker:
    with worker.claim(_members(study)[0].name):
      study.train(tmp_path, share=True)
  with pytest.raises(local.DivergedError, match='every run diverged'):
    study.train(tmp_path, share=True)


def test_a_damaged_population_is_told_by_who_takes_it(tmp_path, trained):
  study = _study()
  name = _members(study)[0].name
  study.train(tmp_path, share=True)
  path = tmp_path / 'populations' / name / 'provenance.json'
  path.write_text('{"updates_at_most": 99}')
  with pytest.raises(directory.ResumeError, match='was trained for 99'):
    study.train(tmp_path, share=True)
  assert not os.listdir(tmp_path / lease.LEASES)


@pytest.fixture
def losing(trained, monkeypatch) -> list[str]:
  """Have the first population be lost while it is trained; its name."""
  train, lost = loop.train_population, []

  def lose(workdir, member, given, watch, progress, its_lease):
    if lost:
      return train(workdir, member, given, watch, progress, its_lease)
    lost.append(member.name)
    progress.begin(member.name)
    os.utime(pathlib.Path(workdir) / lease.LEASES / member.name, (1e9, 1e9))
    with _joined(_study(), workdir) as other, other.claim(member.name):
      its_lease.check()
    raise AssertionError

  monkeypatch.setattr(loop, 'train_population', lose)
  return lost


def test_who_has_lost_a_population_goes_on_with_the_others(
  tmp_path, trained, losing, capsys
):
  read = _study().train(tmp_path, share=True)
  # And with that one too, as the other one has given it back meanwhile.
  assert trained.names[-1] == losing[0] and len(read.runs()) == 4
  said = capsys.readouterr()
  (line,) = said.err.splitlines()
  assert f'{losing[0]}: taken over by process' in line
  assert 'it was not renewed for 120 s; what' in line
  assert line.endswith('does not count; going on with the others')
  # What it lost was begun, and does not count; the others begin and end.
  places = [line.partition(' ')[0] for line in said.out.splitlines()[1:]]
  assert places == ['1/3', '1/3', '1/3', '2/3', '2/3', '3/3', '3/3']


def test_what_was_lost_to_nobody_is_left_to_nobody(tmp_path, trained, losing):
  """Whoever had it meanwhile has given it back, and does not go on."""
  study = _study()
  member = _members(study)[0]
  silent: Any = _Silent()
  with _joined(study, str(tmp_path)) as worker:
    others = shared.train_left(
      *(str(tmp_path), worker, [member], None, watching.NOBODY, silent)
    )
  assert not others and losing == trained.names == [member.name]


def test_who_is_counted_out_ends(tmp_path, trained, monkeypatch):
  def counted_out(worker):
    raise lease.LostError('counted out')

  monkeypatch.setattr(lease.Worker, 'check', counted_out)
  with pytest.raises(lease.LostError, match='counted out'):
    _study().train(tmp_path, share=True)


def test_a_launcher_looks_at_each_population_until_it_is_trained(
  tmp_path, monkeypatch
):
  done, looks = set(), []

  def looks_done(workdir, member):
    looks.append(member)
    return member in done

  monkeypatch.setattr(resume, 'looks_done', looks_done)
  names: list[Any] = ['one', 'two', 'three']
  is_trained = shared.completion(str(tmp_path), names)
  assert not is_trained() and looks == ['three']
  done |= {'two', 'three'}
  assert not is_trained() and not is_trained()
  done |= {'one'}
  assert is_trained() and is_trained()
  assert looks.count('three') == 2 and looks.count('two') == 1


def test_a_worker_goes_on_while_the_file_system_does_not_answer(
  tmp_path, trained, monkeypatch
):
  study, listdir, fails = _study(), os.listdir, [errno.EIO, errno.ESTALE]
  names = [member.name for member in _members(study)]

  def late(path):
    if trained.names and fails and pathlib.Path(path).name == 'populations':
      raise OSError(fails.pop(), 'does not answer')
    return listdir(path)

  monkeypatch.setattr(partial.os, 'listdir', late)
  monkeypatch.setattr(shared, '_FRESH', 0.0)
  study.train(tmp_path, share=True)
  assert not fails and sorted(trained.names) == sorted(names)


def test_a_launcher_stays_while_the_file_system_does_not_answer(
  tmp_path, monkeypatch
):
  answers: Any = iter([OSError(errno.EIO, 'Input/output error'), True])

  def looks_done(workdir, member):
    answer = next(answers)
    if answer is not True:
      raise answer
    return True

  monkeypatch.setattr(resume, 'looks_done', looks_done)
  names: list[Any] = ['one']
  is_trained = shared.completion(str(tmp_path), names)
  assert not is_trained() and is_trained()


@pytest.mark.parametrize(
  'given, line',
  [
    ({'share': True, 'overwrite': True}, 'share and overwrite: would remove'),
    ({'wait': True}, 'wait: waits for others of share'),
  ],
)
def test_what_contradicts_itself_is_refused(tmp_path, given, line):
  with pytest.raises(local.GridError, match=line):
    _study().train(tmp_path / 'study', **given)
  assert not (tmp_path / 'study').exists()


def test_a_study_goes_on_alone_or_shared_with_the_same_results(
  tmp_path, monkeypatch, capsys
):
  study = Study(conftest.tiny_config({'training.save_interval': 8}))
  alone = study.train(tmp_path / 'alone')
  workdir, seen = tmp_path / 'shared', []

  def stop(rows):
    seen.append(rows[0]['update'])
    if len(seen) in (3, 5):
      raise ZeroDivisionError

  with pytest.raises(ZeroDivisionError):
    study.train(workdir, share=True, callback=stop)
  (folder,) = (workdir / 'populations').iterdir()
  assert TOKEN.search(folder.name)
  before = folder.name
  with pytest.raises(ZeroDivisionError):
    study.train(workdir, resume=True, callback=stop)
  (folder,) = (workdir / 'populations').iterdir()
  assert TOKEN.search(folder.name) and folder.name != before
  capsys.readouterr()
  _lose_at_the_end(monkeypatch, study, str(workdir))
  monkeypatch.setattr(shared, '_PAUSE', 0)
  read = study.train(workdir, share=True, wait=True, callback=stop)
  assert seen == [0, 8, 16, 16, 20, 20]
  said = capsys.readouterr()
  # What was lost while it was finished is told as lost alone.
  assert said.out.count(' updates in ') == 1
  assert said.err.count('taken over by') == 1
  (one,), (two,) = alone.runs(), read.runs()
  assert one['final'] == two['final'] and one['id'] == two['id']
  assert alone.metrics(one['id']) == read.metrics(one['id'])


def _lose_at_the_end(monkeypatch, study: Study, workdir: str) -> None:
  """Have the next population be lost between its last row and its finish."""
  finish = writer_lib.PopulationWriter.finish

  def late(writer, *arguments):
    monkeypatch.setattr(writer_lib.PopulationWriter, 'finish', finish)
    (path,) = (pathlib.Path(workdir) / lease.LEASES).iterdir()
    os.utime(path, (1e9, 1e9))
    with _joined(study, workdir) as other, other.claim(path.name):
      return finish(writer, *arguments)

  monkeypatch.setattr(writer_lib.PopulationWriter, 'finish', late)


@pytest.mark.parametrize('is_finished', [True, False])
def test_who_wants_less_than_is_trained_is_refused_and_changes_nothing(
  tmp_path, trained, is_finished
):
  """study.json would say less than there is, and others be refused for it."""
  study, less = (_study({'training.updates': most}) for most in (20, 8))
  study.train(tmp_path, share=True)
  if not is_finished:
    for member in _members(study):
      final = tmp_path / 'populations' / member.name
      progress = checkpoint.Progress(20, 1.0, 0, '', 'me')
      checkpoint.save(final / 'checkpoints', 'who', {}, progress, 1)
      final.rename(f'{final}.{"e" * 16}.partial')
  before = (tmp_path / 'study.json').read_bytes()
  there = sorted((tmp_path / 'populations').iterdir())
  with pytest.raises(directory.ResumeError, match='updates=8: .*nearest: 20'):
    less.train(tmp_path, share=True)
  assert (tmp_path / 'study.json').read_bytes() == before
  assert sorted((tmp_path / 'populations').iterdir()) == there


@pytest.mark.parametrize('is_seen', [True, False])
def test_what_is_finished_and_has_no_checkpoint_is_not_trained_anew(
  tmp_path, monkeypatch, is_seen
):
  """All of it was, and then had no place: its name is taken."""
  study, longer = (_study({'training.updates': most}) for most in (8, 20))
  study.train(tmp_path, share=True)
  before = (tmp_path / 'study.json').read_bytes()
  names = {path.name for path in (tmp_path / 'populations').iterdir()}
  for path in tmp_path.glob('populations/*/checkpoints'):
    shutil.rmtree(path)
  if not is_seen:  # they are removed behind that look
    monkeypatch.setattr(resume, 'check_goes_on', lambda *arguments: None)
  with pytest.raises(checkpoint.CheckpointError, match='has no checkpoints to'):
    longer.train(tmp_path, share=True)
  assert {path.name for path in (tmp_path / 'populations').iterdir()} == names
  assert not is_seen or (tmp_path / 'study.json').read_bytes() == before


def test_who_joins_takes_the_fingerprint_of_all_runs_for_itself_once(
  tmp_path, trained, monkeypatch
):
  """Of 10,000 runs it takes seconds; and once for study.json."""
  study, taken, fingerprint = _study(), [], results.fingerprint
  with _joined(study, str(tmp_path)):
    pass

  def counted(runs):
    taken.append(len(runs))
    return fingerprint(runs)

  monkeypatch.setattr(results, 'fingerprint', counted)
  study.train(tmp_path, share=True)
  assert taken.count(4) == 2


def test_who_would_train_it_otherwise_looks_at_what_is_begun_alone(
  tmp_path, trained, monkeypatch
):
  """Each look lists all: of thousands under a lock for which others wait."""
  study, longer = (_study({'training.updates': most}) for most in (8, 20))
  with _joined(study, str(tmp_path)):
    pass
  plan = local.make_plan(str(tmp_path), longer._expanded, SHARE)
  monkeypatch.setattr(partial, 'find', None)
  local.check_joinable(str(tmp_path), plan, plan.fingerprint)
  local._check_resumable(str(tmp_path), plan)


def test_what_is_finished_as_one_looks_has_its_checkpoints(
  tmp_path, trained, monkeypatch
):
  """They were looked for where it was trained, and nowhere by then."""
  study, longer = (_study({'training.updates': most}) for most in (8, 20))
  study.train(tmp_path, share=True)
  first, *_ = _members(study)
  final = tmp_path / 'populations' / first.name
  (final / 'checkpoints').mkdir()
  begun = final.rename(f'{final}.{"e" * 16}.partial')
  newest_update = checkpoint.newest_update

  def late(place):
    if begun.exists() and place.parent == begun:
      newest_update(place)  # of several the best is told first
      begun.rename(final)
    return newest_update(place)

  monkeypatch.setattr(checkpoint, 'newest_update', late)
  resume.check_goes_on(str(tmp_path), _members(longer)[0])
  assert final.exists()


@pytest.mark.parametrize('name', ['populations', 'checkpoints'])
def test_what_others_have_trained_until_now_is_asked_of_the_server(
  tmp_path, trained, monkeypatch, name
):
  """NFS tells for a minute what this host saw at its first look."""
  study, longer = (_study({'training.updates': most}) for most in (8, 20))
  study.train(tmp_path, share=True)
  for path in (tmp_path / 'populations').iterdir():
    (path / 'checkpoints').mkdir()
    (path / 'checkpoints' / f'{8:09}{checkpoint.SUFFIX}').touch()
  asked, seen, check_goes_on = [], [], resume.check_goes_on

  def noted(path):
    asked.append((path.name, bool(lock.token(tmp_path))))

  def checked(*arguments):
    check_goes_on(*arguments)
    seen.append((name, True) in asked)

  monkeypatch.setattr(os, 'utime', noted)
  monkeypatch.setattr(resume, 'check_goes_on', checked)
  monkeypatch.setattr(shared, 'train_left', lambda *unused: ())
  longer.train(tmp_path, share=True)
  count = len(_members(study))
  assert seen == [False] * count + [True] * count


def test_what_was_not_begun_is_not_gone_on_with_by_several(tmp_path, trained):
  study = _study()
  for act in study.train, _search:
    with pytest.raises(directory.ResumeError, match='nothing to go on with'):
      act(tmp_path / 'none', resume=True, share=True)
  assert not (tmp_path / 'none').exists()
  study.train(tmp_path / 'one', share=True)
  study.train(tmp_path / 'one', resume=True, share=True)


def test_of_joined_processes_all_end_where_one_has_nothing_to_go_on_with(
  tmp_path, monkeypatch
):
  """The others waited for it: its directory may be on another disk."""
  told: list[Exception] = []

  @contextlib.contextmanager
  def together():
    try:
      yield
    except Exception as error:
      told.append(error)
      raise

  monkeypatch.setattr(agreement, 'together', together)
  for act in _study().train, _search:
    with pytest.raises(directory.ResumeError) as caught:
      act(tmp_path / 'none', resume=True, share=True)
    assert told.pop() is caught.value


def _search(workdir: pathlib.Path, **mode: Any) -> None:
  study = Study(conftest.tiny_config())
  study.search(workdir, get_search=_searched, **mode)


def _searched(search):
  return search.space(
    {'config.model.forget_bias': search.uniform(0.0, 1.0)}, sampler='random'
  )
