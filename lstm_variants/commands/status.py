"""Tell how far a study is: done, in training, left, and the time that takes.

    lstm-variants status --workdir=runs/variants

Reads the run directory alone, also while another process trains there; nothing
is locked. Nothing is written either but, where several processes share the
study, a file that tells the time of its file system, for a moment.
"""

from collections.abc import Iterator
import shlex

from lstm_variants import console
from lstm_variants.commands import command
from lstm_variants.runs import lease, status

_WORKDIR = command.define_workdir()
# Of populations in training, so many are listed.
_MOST = 10


def main() -> None:
  """Print the lines, and the command that is next."""
  workdir = _WORKDIR.value
  read = status.read(workdir)
  for line in _lines(read, workdir):
    console.note(console.printable(line))
  console.say_next(console.printable(_next(read, shlex.quote(workdir))))


def _lines(read: status.Status, workdir: str) -> Iterator[str]:
  ends = [row['status'] for row in read.done]
  counts = ', '.join(
    f'{ends.count(end)} {end}' for end in ('solved', 'unsolved', 'diverged')
  )
  yield f'{read.name}: {read.runs} runs, begun {read.created}'
  if read.search:
    asked, wanted = read.search
    yield f'search: {asked} of {wanted} trials asked for'
  yield f'done: {len(ends)} runs in {read.populations} populations ({counts})'
  for each in read.training[:_MOST]:
    yield f'{read.state(each)}: {each.name}: {_training(each, read)}'
    if each.lease is not None:
      yield f'  by {_who(each.lease)}'
  states = [read.state(each) for each in read.training[_MOST:]]
  for state in dict.fromkeys(states):
    yield f'{state}: {states.count(state)} populations more'
  compiling = read.is_trained and not all(each.runs for each in read.training)
  begun = 'not begun, or compiling' if compiling else 'not begun'
  yield f'{begun}: {read.pending} runs'
  if read.training or read.pending:
    left = 'unknown, nothing was measured yet'
    if read.seconds_left is not None:
      left = f'{status.duration(read.seconds_left)}, compiling not counted'
    yield f'time left: {left}'
    alive = [one for one in read.workers if not one.has_ended]
    shared = f'{len(alive)} processes that share it' if alive else 'nobody'
    yield f'trained by: {read.holder or shared}'
    for one in alive[:_MOST]:
      yield f'  {_who(one)}'


def _who(known: lease.Known) -> str:
  """Return who has a lease, and where to read what it says."""
  renewed = f'renewed {status.duration(max(known.age, 0))} ago'
  log = f', {known.log}' if known.log else ''
  clock = " by this host's clock" if known.own_clock else ''
  return f'{known.holder}, {renewed}{clock}{log}'


def _training(each: status.Training, read: status.Status) -> str:
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
    f'last written {status.duration(each.age)} ago',
  )
  return ', '.join(part for part in parts if part)


def _next(read: status.Status, workdir: str) -> str:
  begun, wanted = read.search or (0, 0)
  if not read.training and not read.pending and begun == wanted:
    return f'{console.command_line("compare")} --workdir={workdir}'
  if read.is_trained:
    return f'{console.command_line("status")} --workdir={workdir}, later'
  return 'repeat the command that made it with --resume'
