"""The trials of a search, as its run directory has them.

    WORKDIR/generations/0000.json      written before its trials are trained
    {
      "format": 1,
      "generation": 0,
      "known": 0,                      generations that the sampler knew
      "made_by": "optuna 5.0.0",
      "whole_arrays": ["muon"],        optimizers under which trials of other
                                       toggles have a population of their own
      "trials": [
        {"number": 0, "params": {"optimizer.learning_rate": 0.012, …},
         "runs": ["vanilla_seed0_…"], "refusal": ""}, …
      ],
      "rungs": [{"updates": 250, "kept": [3, 5, …]}]
    }

The files of all generations are all that a search must remember: what came of
a trial is in the rows of its runs.
"""

from collections.abc import Mapping, Sequence
import functools
import pathlib
from typing import Any, NamedTuple

from lstm_variants import opening
from lstm_variants.runs import directory, files, lock, results
from lstm_variants.search import space

FORMAT = 1
# Bytes of a file: a generation of 10,000 trials.
_LARGEST = 2**26


class Trial(NamedTuple):
  """Values of the fields, and the runs that have them.

  Attributes:
    number: in the whole search.
    params: its fields, by dotted name.
    runs: names, one for each seed; of an earlier trial where it has the same
      fields.
    refusal: why the config refuses these fields together; '': it does not.
  """

  number: int
  params: dict[str, Any]
  runs: tuple[str, ...]
  refusal: str = ''


class Rung(NamedTuple):
  """When trials were retired.

  Attributes:
    updates: after how many.
    kept: the numbers of those that went on.
  """

  updates: int
  kept: tuple[int, ...]


class Generation(NamedTuple):
  """Trials that were asked for at once.

  Attributes:
    number: from 0 on.
    known: how many generations before it the sampler knew.
    made_by: what asked for it, and its version.
    trials: in the order in which they were asked for.
    rungs: those that are decided, ascending.
    whole_arrays: which of its optimizers looked at whole arrays when it was
      asked for; its populations are made by it (`populations.split`), so that
      they stay what they are. None: it is not recorded.
  """

  number: int
  known: int
  made_by: str
  trials: tuple[Trial, ...]
  rungs: tuple[Rung, ...] = ()
  whole_arrays: tuple[str, ...] | None = None


def write(workdir: str, search: space.Search, generation: Generation) -> None:
  """Write the file of a generation.

  Raises:
    StorageError: it cannot be written, or this process slept for so long that
      another one has the directory, and may have decided more of it.
  """
  path = _path(workdir, generation.number)
  lock.check(pathlib.Path(workdir))
  with files.refusals(path):
    path.parent.mkdir(exist_ok=True)
  files.write_json(
    path,
    {
      'format': FORMAT,
      'generation': generation.number,
      'known': generation.known,
      'made_by': generation.made_by,
      'whole_arrays': generation.whole_arrays,
      'trials': [
        {
          **trial._asdict(),
          'params': {k: space.encode(v) for k, v in trial.params.items()},
        }
        for trial in generation.trials
      ],
      'rungs': [rung._asdict() for rung in generation.rungs],
    },
    functools.partial(lock.check, pathlib.Path(workdir)),
  )


# Of files that were read: the version of each, and what it holds.
Read = dict[pathlib.Path, tuple[tuple[int, ...] | None, Generation]]


def read_all(
  workdir: str, search: space.Search, before: Read | None = None
) -> list[Generation]:
  """Read the generations that there are.

  Args:
    workdir: of the search.
    search: what is searched.
    before: those that were read before, to which these are added: a file that
      is as it was is not read again.

  Raises:
    ResumeError: a file is missing, or is not what was written.
  """
  before = {} if before is None else before
  generations: list[Generation] = []
  while (path := _path(workdir, len(generations))).exists():
    version = opening.version(path)
    if version is None or before.get(path, (None,))[0] != version:
      before[path] = version, read(workdir, search, len(generations))
    generations.append(before[path][1])
  return generations


def read(workdir: str, search: space.Search, number: int) -> Generation:
  """Read a generation.

  Raises:
    ResumeError: the file is missing, or is not what was written.
  """
  path = _path(workdir, number)
  try:
    generation = _parse(files.read_json(path, _LARGEST), search)
    if generation.number != number:
      raise files.DamagedError(f'is generation {generation.number}')
  # Of a number as 1e999, which JSON allows, there is no integer.
  except (OSError, ValueError, LookupError, TypeError, OverflowError) as error:
    raise directory.ResumeError(
      f'{path}: is not what was written: {error}; put it back, or remove it '
      'and those after it'
    ) from error
  return generation


def _path(workdir: str, number: int) -> pathlib.Path:
  return pathlib.Path(workdir) / results.GENERATIONS / f'{number:04}.json'


def _parse(contents: Any, search: space.Search) -> Generation:
  if contents['format'] != FORMAT:
    raise files.DamagedError(f'has format {contents["format"]!r:.20}')
  arrays = contents.get('whole_arrays')
  return Generation(
    number=int(contents['generation']),
    known=int(contents['known']),
    made_by=str(contents['made_by']),
    trials=tuple(_trial(one, search) for one in contents['trials']),
    rungs=tuple(
      Rung(int(one['updates']), tuple(map(int, one['kept'])))
      for one in contents['rungs']
    ),
    whole_arrays=None if arrays is None else tuple(map(str, arrays)),
  )


def _trial(contents: Mapping[str, Any], search: space.Search) -> Trial:
  params = contents['params']
  return Trial(
    number=int(contents['number']),
    params={
      name: _decode(params[name], distribution)
      for name, distribution in search.fields.items()
    },
    runs=tuple(map(str, contents['runs'])),
    refusal=str(contents['refusal']),
  )


def _decode(value: Any, distribution: space.Distribution) -> Any:
  """Return a value as the distribution has it; JSON has no infinity."""
  if isinstance(distribution, space.Choice):
    encoded = [space.encode(one) for one in distribution.values]
    places = [
      place
      for place, one in enumerate(encoded)
      if type(one) is type(value) and one == value
    ]
    return distribution.values[places[0]]
  kind = int if isinstance(distribution, space.Integer) else float
  return kind(value)


def own_trials(generations: Sequence[Generation], number: int) -> list[Trial]:
  """Return the trials of a generation whose runs no trial before has."""
  before = {
    run
    for generation in generations[:number]
    for trial in generation.trials
    for run in trial.runs
  }
  own = []
  for trial in generations[number].trials:
    if trial.runs and before.isdisjoint(trial.runs):
      own.append(trial)
      before.update(trial.runs)
  return own
