"""The flags of a training by several processes, those of `jax.distributed`.

    --coordinator_address=HOST:PORT --num_processes=N --process_id=RANK
    --distributed        where SLURM, Open MPI or Kubernetes knows all that

The processes meet before the command line is looked at any further, so that
what one of them is refused ends all.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

from absl import flags

from lstm_variants import console
from lstm_variants.commands import config_file

flags.disclaim_key_flags()

_ADDRESS, _COUNT, _ID = 'coordinator_address', 'num_processes', 'process_id'
_DETECT = 'distributed'
_DETECTING = {
  f'{dashes}{_DETECT}{end}'
  for dashes in ('-', '--')
  for end in ('', '=true', '=t', '=1')
}


class _State:
  """Whether the program has the flags, and is one of several processes."""

  defined = False
  joined = False


def define() -> Callable[[], None]:
  """Define the flags; the result refuses them where they came too late."""
  _State.defined = True
  flags.DEFINE_bool(
    _DETECT,
    False,
    'Train as one of several processes, as SLURM, Open MPI or Kubernetes has '
    'them (docs/hosts.md).',
  )
  flags.DEFINE_string(
    _ADDRESS, None, 'Train as one of several: HOST:PORT of process 0.'
  )
  flags.DEFINE_integer(_COUNT, None, 'How many processes train.', 1)
  flags.DEFINE_integer(
    _ID, None, 'Which one this is, from 0, which has the run directory.', 0
  )

  def check() -> None:
    given = [
      name
      for name in (_DETECT, _ADDRESS, _COUNT, _ID)
      if flags.FLAGS[name].value
    ]
    if given and not _State.joined:
      raise config_file.UsageError(
        f'--{given[0]}: is read before any file of flags; nearest: give it on '
        'the command line'
      )

  return check


def run(program: Callable[[], None], argv: Sequence[str]) -> None:
  """Run a program, as one of several processes if its flags say so."""
  given = {
    name: config_file.value_of(f'--{name}', argv)
    for name in (_ADDRESS, _COUNT, _ID)
  }
  detects = not _DETECTING.isdisjoint(map(str.lower, argv))
  if not _State.defined or not (detects or any(given.values())):
    program()
    return
  # Only now: it takes jax, which is slow to start.
  from lstm_variants.launch import hosts

  try:
    place = hosts.Place(
      given[_ADDRESS], _number(_COUNT, given), _number(_ID, given)
    )
    _State.joined = True
    hosts.run(place, _common(argv), program)
  except (config_file.UsageError, hosts.JoinError) as error:
    console.refuse(error)


def refuse(error: Exception) -> NoReturn:
  """Print an error as one line, and end with its status: all processes."""
  if not _State.joined:
    console.refuse(error)
  from lstm_variants.launch import hosts

  hosts.refuse(error)


def is_first() -> bool:
  """Tell whether this process says where the results are."""
  if not _State.joined:
    return True
  from lstm_variants.training import agreement

  return agreement.is_first()


def check_not_joined(flag: str) -> None:
  """Refuse what a process cannot do that has the flags of several.

  It may be the only one: those that it starts have its command line, and would
  join it.

  Raises:
    JoinError: it has them.
  """
  if _State.joined:
    from lstm_variants.launch import hosts

    raise hosts.joined(flag)


def _number(name: str, given: Mapping[str, str | None]) -> int | None:
  text = given[name]
  if text is None or text.isdecimal():
    return None if text is None else int(text)
  raise config_file.UsageError(f'--{name}={text}: must be a number from 0')


def _common(argv: Sequence[str]) -> list[str]:
  """Return a command line without what each process has for itself."""
  words, skip = [], False
  for word in argv:
    name, equals, _ = word.lstrip('-').partition('=')
    if name == _ID:
      skip = not equals
    elif skip:
      skip = False
    else:
      words.append(word)
  return words
