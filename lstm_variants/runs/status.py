"""How far a study is, by what lies in its directory; it may be in training.

Nothing is locked, nothing that stays is written, no jax is needed: what a
training process writes meanwhile is seen as it is at some moment.
"""

from collections.abc import Iterator, Mapping, Sequence
import contextlib
import datetime
import pathlib
import time
import types
from typing import Any, NamedTuple

import numpy as np
import safetensors

from lstm_variants import opening
from lstm_variants.runs import files, lock, partial, results
from lstm_variants.runs import lease as lease_lib

# What a population is that is begun and not finished, or a run of it.
TRAINING = 'training'
INTERRUPTED = 'interrupted'
# Of the end of metrics.jsonl, in which the last rows are; a row is about 200.
_TAIL = 2**21
# Bytes of a file of generations/.
_LARGEST_GENERATION = 2**26
# Of populations in training, so many are listed.
_LISTED = 10
# Seconds, which are 30,000 years: nothing has taken what adds up to more.
_LONGEST = 1e12


class Training(NamedTuple):
  """A population that is begun and not finished.

  Attributes:
    name: of the population.
    runs: in it.
    update: at the last evaluation; 0 where there was none.
    saved: updates at the newest checkpoint, None where there is none.
    losses: model -> the median held-out loss of its runs.
    age: seconds since something was written.
    seconds_per_update: as the newest checkpoint tells it, else None.
    lease: that a process has or had of it, None where there is none.
  """

  name: str
  runs: int
  update: int
  saved: int | None
  losses: Mapping[str, float]
  age: float
  seconds_per_update: float | None
  lease: lease_lib.Known | None = None


class Status(NamedTuple):
  """How far a study is.

  Attributes:
    name: of the study.
    created: when, as ISO 8601.
    runs: of the whole study.
    done: rows of the finished runs, from `results.read_runs`.
    populations: finished ones.
    training: populations that are begun and not finished.
    updates: that a run makes at most.
    holder: who trains all of it, in words; '': nobody does.
    workers: the leases of those who share it.
    study: of `results.read_study`.
    seconds_left: that the rest takes without compiling, None: nothing tells.
    search: of a search, how many trials it has asked for and will; None: it is
      none. `runs` are those of the trials that it has asked for.
  """

  name: str
  created: str
  runs: int
  done: list[dict[str, Any]]
  populations: int
  training: Sequence[Training]
  updates: int
  holder: str
  seconds_left: float | None
  search: tuple[int, int] | None = None
  workers: Sequence[lease_lib.Known] = ()
  study: Mapping[str, Any] = types.MappingProxyType({})

  @property
  def is_trained(self) -> bool:
    """Whether somebody trains there, as far as it can be seen."""
    return bool(self.holder) or any(not one.has_ended for one in self.workers)

  def state(self, each: Training) -> str:
    """Return in a word whether a population is trained just now."""
    if each.lease is not None:
      return 'stale' if each.lease.has_ended else 'in training'
    return 'in training' if self.holder else INTERRUPTED

  @property
  def pending(self) -> int:
    """Runs that are not begun, or have no row yet: they may be compiling."""
    begun = len(self.done) + sum(each.runs for each in self.training)
    return max(self.runs - begun, 0)


def read(workdir: str) -> Status:
  """Return how far a study is.

  Raises:
    WorkdirError: if there is no study, or a finished run cannot be read.
  """
  study, path = results.read_study(workdir), pathlib.Path(workdir)
  finished = [
    name
    for name in results.populations(workdir)
    if results.is_finished(workdir, name)
  ]
  done = results.read_finished(workdir, study).runs if finished else []
  begun = partial.begun(workdir)
  leases = {one.name: one for one in lease_lib.leases(path)}
  names = sorted({*begun, *leases} - {*finished})
  training = [_read_training(n, begun.get(n), leases.get(n)) for n in names]
  status = Status(
    name=study['name'],
    created=study['created'],
    runs=len(study['runs']),
    done=done,
    populations=len(finished),
    training=training,
    updates=max((_updates(run) for run in study['runs']), default=0),
    holder=holder(path),
    seconds_left=None,
    search=_search(path, study),
    workers=lease_lib.workers(path),
    study=study,
  )
  return status._replace(seconds_left=_seconds_left(status))


def _search(
  path: pathlib.Path, study: Mapping[str, Any]
) -> tuple[int, int] | None:
  """Return how many trials a search has asked for, and will."""
  search = study.get('search')
  if search is None:
    return None
  asked = 0
  for generation in sorted((path / results.GENERATIONS).glob('*.json')):
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
      asked += len(files.read_json(generation, _LARGEST_GENERATION)['trials'])
  wanted = search.get('trials')
  return asked, max(wanted if results.is_whole(wanted) else 0, asked)


def _updates(run: Mapping[str, Any]) -> int:
  training = run.get('training')
  updates = training.get('updates') if isinstance(training, dict) else 0
  return updates if results.is_whole(updates) else 0


def _read_training(
  name: str, folder: pathlib.Path | None, lease: lease_lib.Known | None
) -> Training:
  """Read what is there of a population in training; None: nothing yet."""
  if folder is None:
    return Training(name, 0, 0, None, {}, 0.0, None, lease)
  rows = _last_rows(folder)
  losses: dict[str, list[float]] = {}
  for row in rows:
    loss = row.get('loss')
    value = float('nan') if loss is None else float(loss)
    losses.setdefault(row['run'].rpartition('_seed')[0], []).append(value)
  saved, rate = _saved(folder)
  return Training(
    name=name,
    runs=len(rows),
    update=rows[-1]['update'] if rows else 0,
    saved=saved,
    losses={model: float(np.median(each)) for model, each in losses.items()},
    age=_age(folder / results.METRICS),
    seconds_per_update=rate,
    lease=lease,
  )


def _last_rows(folder: pathlib.Path) -> list[dict[str, Any]]:
  """Return the rows of the last evaluation that is whole."""
  # The runs of the first evaluation; of the last one some may be on their way.
  last: dict[int, list[dict[str, Any]]] = {}
  for row in results.read_growing(folder, _TAIL):
    last.setdefault(row['update'], []).append(row)
  most = max(map(len, last.values()), default=0)
  whole = [each for each in last.values() if len(each) == most]
  return whole[-1] if whole else []


def _age(path: pathlib.Path) -> float:
  """Return the seconds since a file was written; 0 where it is none."""
  try:
    return max(time.time() - path.stat().st_mtime, 0.0)
  except OSError:
    return 0.0


def _saved(folder: pathlib.Path) -> tuple[int | None, float | None]:
  """Return the update of the newest checkpoint, and seconds per update."""
  paths = sorted((folder / 'checkpoints').glob('*.safetensors'))
  for path in reversed(paths):
    try:
      opening.open_file(path).close()  # or it may wait for ever
      with safetensors.safe_open(path, 'numpy') as file:
        metadata = file.metadata() or {}
      progress = files.parse_json(metadata['lstm_variants'].encode())
      update, seconds = int(progress['update']), float(progress['seconds'])
      rate = seconds / update if update > 0 else None
    except (
      *(OSError, ValueError, LookupError, TypeError, AttributeError),
      *(OverflowError, safetensors.SafetensorError),
    ):
      continue  # damaged, or removed meanwhile
    return update, rate
  return None, None


def holder(directory: pathlib.Path) -> str:
  """Return who trains in a directory, in words; '' where nobody does."""
  who, life = lock.holder(directory)
  return '' if life is lock.Life.ENDED else str(who)


def state(directory: pathlib.Path) -> str:
  """Return what populations that are begun and not finished are, in a word.

  Returns:
    `TRAINING`; `INTERRUPTED` where no process trains in the directory.
  """
  is_trained = holder(directory) or lease_lib.is_shared(directory)
  return TRAINING if is_trained else INTERRUPTED


def _seconds_left(status: Status) -> float | None:
  """Return the seconds that the rest takes at the speed that was measured.

  Of finished runs a second per update is a run's own share of its population's
  time; of a population in training it is of all its runs.
  """
  measured = [
    row['seconds_per_update']
    for row in status.done
    if row['seconds_per_update'] and row['updates']
  ]
  measured += [
    each.seconds_per_update / each.runs
    for each in status.training
    if each.seconds_per_update and each.runs
  ]
  if not status.pending and not status.training:
    return 0.0
  if not measured:
    return None
  share = sum(measured) / len(measured)
  left = status.pending * status.updates * share
  for each in status.training:
    rate = each.seconds_per_update or share * each.runs
    left += max(status.updates - each.update, 0) * rate
  return left if left < _LONGEST else None


def duration(seconds: float) -> str:
  """Return a time as h:mm:ss."""
  return str(datetime.timedelta(seconds=round(seconds)))


def lines(read: Status) -> Iterator[str]:
  """Yield how far a study is, in words."""
  ends = [row['status'] for row in read.done]
  counts = ', '.join(
    f'{ends.count(end)} {end}' for end in ('solved', 'unsolved', 'diverged')
  )
  yield f'{read.name}: {read.runs} runs, begun {read.created}'
  if read.search:
    asked, wanted = read.search
    yield f'search: {asked} of {wanted} trials asked for'
  yield f'done: {len(ends)} runs in {read.populations} populations ({counts})'
  for each in read.training[:_LISTED]:
    yield f'{read.state(each)}: {each.name}: {_training(each, read)}'
    if each.lease is not None:
      yield f'  by {_who(each.lease)}'
  states = [read.state(each) for each in read.training[_LISTED:]]
  for state in dict.fromkeys(states):
    yield f'{state}: {states.count(state)} populations more'
  compiling = read.is_trained and not all(each.runs for each in read.training)
  begun = 'not begun, or compiling' if compiling else 'not begun'
  yield f'{begun}: {read.pending} runs'
  if read.training or read.pending:
    left = 'unknown, nothing was measured yet'
    if read.seconds_left is not None:
      left = f'{duration(read.seconds_left)}, compiling not counted'
    yield f'time left: {left}'
    alive = [one for one in read.workers if not one.has_ended]
    shared = f'{len(alive)} processes that share it' if alive else 'nobody'
    yield f'trained by: {read.holder or shared}'
    for one in alive[:_LISTED]:
      yield f'  {_who(one)}'


def _who(known: lease_lib.Known) -> str:
  """Return who has a lease, and where to read what it says."""
  renewed = f'renewed {duration(max(known.age, 0))} ago'
  log = f', {known.log}' if known.log else ''
  clock = " by this host's clock" if known.own_clock else ''
  return f'{known.holder}, {renewed}{clock}{log}'


def _training(each: Training, read: Status) -> str:
  losses = ', '.join(
    f'{model} {loss:.4g}' for model, loss in each.losses.items()
  )
  if not each.runs:
    is_trained = read.state(each) == 'in training'
    compiling = 'compiling, or ended ' if is_trained else ''
    return f'{compiling}before its first row'
  saved = 'nothing saved' if each.saved is None else f'saved at {each.saved}'
  parts = (
    f'{each.runs} runs',
    f'update {each.update}/{read.updates}',
    f'loss {losses}' if losses else '',
    saved,
    f'last written {duration(each.age)} ago',
  )
  return ', '.join(part for part in parts if part)
