"""The short version of `make faults`: a few of each kind of fault."""

import errno
import pathlib
import random
import shutil
import signal
import time
from typing import NamedTuple

import pytest

from lstm_variants.runs import results
from tests.faults import harness

TERM, INT, HUP = signal.SIGTERM, signal.SIGINT, signal.SIGHUP
CODES = {TERM: 143, INT: 130, HUP: 129}


class Stopped(NamedTuple):
  """A study that SIGTERM stopped in its fourth chunk of twelve.

  Attributes:
    workdir: of the study.
    ended: how it ended.
    seconds: after its start.
  """

  workdir: pathlib.Path
  ended: harness.Ended
  seconds: float


@pytest.fixture(scope='module')
def hasty(fork_server):
  """Compile in half of the time and evaluate little.

  `make faults` compiles as a user does, and has chunks that last.
  """
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(harness, '_server', lambda: fork_server)
    patch.setattr(harness, 'STUDY', f'{harness.STUDY}:brief')
    yield


@pytest.fixture(scope='module', autouse=True)
def finished(hasty, tmp_path_factory) -> pathlib.Path:
  """The study when nobody disturbs it."""
  workdir = tmp_path_factory.mktemp('undisturbed') / 'study'
  ended = harness.run(workdir)
  assert ended.status == 0, ended.stderr
  rows = results.read_runs(str(workdir))
  models = [row['model'] for row in rows]
  assert sorted(models) == ['coupled', 'coupled', 'vanilla', 'vanilla']
  assert len(results.populations(str(workdir))) == 2
  return workdir


@pytest.fixture(scope='module')
def undisturbed(finished) -> str:
  return harness.digest(finished)


@pytest.fixture(scope='module')
def stopped(tmp_path_factory) -> Stopped:
  workdir = tmp_path_factory.mktemp('stopped') / 'study'
  fault = {'at': 'chunk', 'number': 3, 'signals': [TERM]}
  started = time.monotonic()
  ended = harness.run(workdir, fault=fault)
  return Stopped(workdir, ended, time.monotonic() - started)


def _copy(workdir: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
  return pathlib.Path(shutil.copytree(workdir, tmp_path / 'study'))


def _go_on(workdir, *arguments: str) -> str:
  ended = harness.run(workdir, '--resume', *arguments)
  assert ended.status == 0, ended.stderr
  assert 'error' not in ended.stderr
  return harness.digest(workdir)


def test_killed_at_random_it_ends_as_if_it_had_not_been(
  tmp_path, undisturbed, stopped
):
  workdir = tmp_path / 'study'
  latest = 1.3 * stopped.seconds  # until the second population
  # `make faults` kills whole processes, in their imports too.
  kills = harness.kill_until_done(
    workdir, latest, 3, random.Random(1), harness.forked_session
  )
  assert kills
  assert harness.digest(workdir) == undisturbed


@pytest.mark.parametrize(
  'at, number, sent',
  [
    ('chunk', 3, TERM),
    ('save', 2, INT),
    ('save', 2, HUP),
    ('evaluation', 0, TERM),
  ],
)
def test_a_signal_saves_and_ends(
  tmp_path, undisturbed, stopped, at, number, sent
):
  if at == 'chunk':
    workdir, ended = _copy(stopped.workdir, tmp_path), stopped.ended
  else:
    workdir = tmp_path / 'study'
    fault = {'at': at, 'number': number, 'signals': [sent]}
    ended = harness.run(workdir, fault=fault)
  assert ended.status == CODES[sent], ended.stderr
  what = 'nothing to save yet' if at == 'evaluation' else 'saved; repeat'
  assert f'error: {sent.name}: {what}' in ended.stderr
  assert 'Traceback' not in ended.stderr
  assert ended.seconds_to_end < 10
  assert [word for word, _ in ended.log] == ['signal', 'left']
  left = next((workdir / 'populations').glob('*.partial'))
  saved = sorted(path.name for path in left.rglob('*.safetensors'))
  # The chunk of the signal is saved: the fourth, and that after the third save.
  newest = {
    'chunk': ['000000080.safetensors'],
    'save': ['000000060.safetensors'],
  }
  assert saved[-1:] == newest.get(at, [])
  assert _go_on(workdir) == undisturbed


def test_a_signal_while_compiling_ends_at_once(tmp_path):
  workdir = tmp_path / 'study'
  ended = harness.run(workdir, fault={'at': 'compile', 'signals': [TERM]})
  assert ended.status == 143
  assert 'SIGTERM: ended at once' in ended.stderr
  assert ended.seconds_to_end < 1
  # It was inside: it never left.
  assert [word for word, _ in ended.log] == ['signal']


def test_a_second_signal_ends_at_once_and_the_checkpoint_stays(
  tmp_path, undisturbed
):
  workdir = tmp_path / 'study'
  fault = {'at': 'save', 'number': 3, 'signals': [INT, INT], 'gap': 0.6}
  ended = harness.run(workdir, fault=fault)
  assert ended.status == 130
  assert 'once more ends at once' in ended.stderr
  assert [word for word, _ in ended.log] == ['signal', 'signal']
  resumed = harness.run(workdir, '--resume')
  assert resumed.status == 0 and 'error' not in resumed.stderr
  assert 'going on after update 60' in resumed.stdout
  assert harness.digest(workdir) == undisturbed


def test_a_signal_and_its_echo_are_one(tmp_path):
  workdir = tmp_path / 'study'
  fault = {'at': 'save', 'number': 2, 'signals': [TERM, TERM], 'gap': 0.02}
  ended = harness.run(workdir, fault=fault)
  assert ended.status == 143 and 'saved; repeat' in ended.stderr
  assert [word for word, _ in ended.log] == ['signal', 'signal', 'left']


def test_a_line_that_is_lost_behind_another_signal_is_its_echo(tmp_path):
  """systemd sends SIGHUP behind SIGTERM; a terminal that closes, twice."""
  workdir = tmp_path / 'study'
  fault = {'at': 'save', 'number': 2, 'signals': [TERM, HUP, HUP], 'gap': 0.55}
  ended = harness.run(workdir, fault=fault)
  assert ended.status == 143 and 'saved; repeat' in ended.stderr


def test_a_full_disk_ends_with_its_status_and_what_was_saved_stays(
  tmp_path, undisturbed
):
  workdir = tmp_path / 'study'
  fault = {'at': 'fsync', 'number': 9, 'errno': errno.ENOSPC}
  ended = harness.run(workdir, fault=fault)
  assert ended.status == 6
  assert [word for word, _ in ended.log] == ['raised']
  assert ended.stderr.count('\n') == 1
  assert 'No space left on device' in ended.stderr
  assert _go_on(workdir) == undisturbed


def test_a_directory_removed_under_a_run_ends_with_its_status(tmp_path):
  workdir = tmp_path / 'study'
  fault = {'at': 'chunk', 'number': 2, 'remove': str(workdir)}
  ended = harness.run(workdir, fault=fault)
  assert ended.status == 6, ended.stderr
  assert ended.stderr.count('\n') == 1 and 'No such file' in ended.stderr


def test_of_several_processes_one_trains(tmp_path, undisturbed):
  workdir = tmp_path / 'study'
  processes = [harness.start(workdir) for _ in range(3)]
  ended = [harness.wait(process, workdir) for process in processes]
  assert sorted(end.status for end in ended) == [0, 5, 5]
  for end in ended:
    if end.status:
      assert end.stderr.count('\n') == 1
      assert 'is training here' in end.stderr or '--resume' in end.stderr
  assert harness.digest(workdir) == undisturbed


def test_a_container_that_was_killed_goes_on_under_another_name(
  tmp_path, undisturbed
):
  workdir = tmp_path / 'study'
  fault = {'at': 'chunk', 'number': 3, 'signals': [9], 'host': 'a2f0'}
  assert harness.run(workdir, fault=fault).status == -9
  resumed = harness.run(workdir, '--resume')
  assert resumed.status == 0, resumed.stderr
  assert 'on a2f0, since' in resumed.stderr
  assert harness.digest(workdir) == undisturbed


def test_a_damaged_checkpoint_is_not_used(tmp_path, undisturbed, stopped):
  workdir = _copy(stopped.workdir, tmp_path)
  newest, older = sorted(workdir.rglob('*.safetensors'), reverse=True)
  newest.write_bytes(newest.read_bytes()[:-1])
  resumed = harness.run(workdir, '--resume')
  assert resumed.status == 0
  # In a directory of another name, as another process has it now.
  assert f'/{newest.name}: is damaged' in resumed.stderr
  assert f'using {older.name} instead' in resumed.stderr
  assert harness.digest(workdir) == undisturbed


def test_without_a_whole_checkpoint_nothing_is_trained(tmp_path, stopped):
  workdir = _copy(stopped.workdir, tmp_path)
  assert len(list(workdir.rglob('*.safetensors'))) == 2
  for path in workdir.rglob('*.safetensors'):
    path.write_bytes(b'')
  before = _snapshot(workdir)
  resumed = harness.run(workdir, '--resume')
  assert resumed.status == 4
  assert (
    resumed.stderr.count('\n') == 1 and 'is no checkpoint' in resumed.stderr
  )
  assert _snapshot(workdir) == before


def test_metrics_that_were_changed_are_not_gone_on_with(
  tmp_path, undisturbed, stopped
):
  workdir = _copy(stopped.workdir, tmp_path)
  (metrics,) = workdir.rglob('metrics.jsonl')
  whole = metrics.read_bytes()
  metrics.write_bytes(whole.replace(b'"update": 40', b'"update": 41'))
  resumed = harness.run(workdir, '--resume')
  assert resumed.status == 4 and 'metrics.jsonl' in resumed.stderr
  # What a killed process wrote after its checkpoint is dropped, torn or not.
  metrics.write_bytes(whole + b'{"run": "x"}\n{"to')
  resumed = harness.run(workdir, '--resume')
  assert resumed.status == 0 and 'dropped 17 bytes' in resumed.stderr
  assert harness.digest(workdir) == undisturbed


def test_more_updates_go_on_from_the_end(tmp_path, finished):
  short, long = _copy(finished, tmp_path), tmp_path / 'long'
  more = '--config.training.updates=160'
  assert harness.run(long, more).status == 0
  resumed = harness.run(short, '--resume', more)
  assert resumed.status == 0
  assert resumed.stdout.count('going on after update 120') == 2
  assert _updates(short) == _updates(long)
  assert harness.digest(short) == harness.digest(long)
  again = harness.run(short, '--resume', more)
  assert again.stdout.count('already finished') == 2


def _updates(workdir) -> list[int]:
  return [row['update'] for row in results.read_metrics(str(workdir))]


def _snapshot(path: pathlib.Path) -> dict[str, bytes]:
  return {
    str(file): file.read_bytes()
    for file in sorted(path.rglob('*'))
    if file.is_file() and file.name != '.lock'
  }
