"""A study from Python: the config, the grid and the training of `sweep`.

    import lstm_variants as lv

    study = lv.Study(
      {'task.name': 'adding', 'task.length': 50},
      grid={'model.variant': ['vanilla', 'gru'], 'seed': range(3)},
    )
    results = study.train('runs/adding')
    results.compare()

`study.search` searches its fields, as the command `search` does. The run
directory is that of the command: either goes on with what the other began.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
import contextlib
import os
from typing import Any

from lstm_variants import arguments, console, errors, extensions, results
from lstm_variants import names as names_lib
from lstm_variants.config import fields, populations, rules, schema, source
from lstm_variants.config import grid as hyper
from lstm_variants.launch import local, shared
from lstm_variants.runs import directory
from lstm_variants.search import check, space
from lstm_variants.search import train as searching
from lstm_variants.training import agreement, backend, interrupt, watching

# What the rows of an evaluation go to.
Callback = Callable[[list[dict[str, Any]]], object]
_PREFIX = 'config.'


class CallbackError(errors.Error, TypeError):
  """What is to see the evaluations cannot be called."""


class Study:
  """Runs that are trained together: a config, and a grid over its fields.

  Everything is checked when it is made.

  Attributes:
    name: of the study.
    config: the base config, a `ConfigDict`.
  """

  @errors.told_in_python()
  def __init__(
    self,
    config: Any,
    grid: Any = None,
    *,
    name: str | None = None,
  ):
    """Make a study.

    Args:
      config: fields that differ from the defaults, as {'model.variant':
        'gru'} or nested; or a `ConfigDict` with all fields (`default_config`);
        or the path or the name of a config file, as 'adding'.
      grid: field -> its values, of which all combinations are trained; or a
        list of settings (dicts), as `lstm_variants.config.grid` makes them; or
        a `get_hyper(hyper)`. None: the grid of the file, or one run.
      name: of the study; None: that of the file, or 'study'.

    Raises:
      lv.Error: a field or value that is refused, two equal runs, a size beyond
        the memory.
    """
    backend.use_every_core('jax was used before')
    extensions.load_installed()
    self.config, of_file, file_name = source.read(config)
    is_file = isinstance(config, str | os.PathLike)
    self._path = os.fspath(config) if is_file else None
    self._is_grid = grid is not None
    self.name = file_name if name is None else _checked(name)
    self._get_hyper = _get_hyper(grid, of_file)
    try:
      self._expanded = local.expand(self.config, self._get_hyper)
    except rules.InputError as error:
      if self._path is not None and self._is_of_file(error, grid):
        error.place(self._path)
      raise

  def _is_of_file(self, error: rules.InputError, grid: Any) -> bool:
    """Tell whether a value that is refused stands in the config file."""
    row = schema.table().get(error.field)
    if row is not None and row.default == error.value:
      return False
    values = dict(fields.flatten(self.config.to_dict()))
    return grid is None or values.get(error.field) == error.value

  @property
  def runs(self) -> list[dict[str, Any]]:
    """What is trained: `id`, `population`, `task`, `model`, `config` of each.

    In the order of populations, runs of which share a compiled program.
    """
    return [
      {
        'id': name,
        'population': population.name,
        'task': run.settings.task_label,
        'model': run.model,
        'config': run.config,
      }
      for population in populations.split(self._expanded)
      for name, run in zip(population.run_names, population.runs, strict=True)
    ]

  def __repr__(self) -> str:
    programs = len(populations.split(self._expanded))
    runs = names_lib.counted(len(self._expanded), 'run')
    return f'Study({self.name!r}): {runs} in ' + names_lib.counted(
      programs, 'compiled program'
    )

  @errors.told_in_python()
  def train(
    self,
    workdir: str | os.PathLike[str],
    resume: bool = False,
    *,
    overwrite: bool = False,
    share: bool = False,
    wait: bool = False,
    callback: Callback | None = None,
    progress: bool = True,
  ) -> results.Results:
    """Train every run that is not finished yet.

    Ctrl-C, or the stop button of a notebook, saves after the chunk of updates
    and raises `KeyboardInterrupt`; once more ends at once. What was saved
    before is whole, and `resume=True` goes on with it.

    Args:
      workdir: the run directory.
      resume: go on with the study that is there.
      overwrite: remove the study that is there, and begin anew.
      share: begin the study, or train it together with the processes, here or
        on other machines, that were started so too.
      wait: with `share`, stay until nothing is left; else this returns when
        nothing is left that others do not train.
      callback: called after each evaluation of a population, with a dict for
        each of its runs, as in metrics.jsonl. What it raises ends the training
        and goes to the caller; `resume=True` goes on from the newest
        checkpoint.
      progress: show it.

    Returns:
      The results.

    Raises:
      lv.Error: the directory holds another study, or one and neither `resume`
        nor `overwrite`; another process trains there; it cannot be written;
        every run diverged.
      KeyboardInterrupt: training was interrupted.
    """
    mode, watch = _mode(resume, overwrite, share, wait), _watch(callback)
    workdir = arguments.path('workdir', workdir, 'runs/study')
    with _training(progress):
      if resume and share:  # else this would begin it
        directory.check(workdir, None, directory.Mode.RESUME)
      runs, records = self._expanded, local.recorded(workdir, mode)
      if records:
        runs = local.expand(self.config, self._get_hyper, records)
      shared.train_as(
        *(workdir, self.name, self.config, runs, mode), watch=watch, wait=wait
      )
    return results.Results(workdir, here=agreement.is_first())

  @errors.told_in_python()
  def search(
    self,
    workdir: str | os.PathLike[str],
    get_search: Callable[[Any], Any] | None = None,
    *,
    resume: bool = False,
    overwrite: bool = False,
    share: bool = False,
    mirror: str | os.PathLike[str] | None = None,
    callback: Callback | None = None,
    progress: bool = True,
  ) -> results.Results:
    """Search values of fields: ask for trials, train them, ask for the next.

    Args:
      workdir: the run directory.
      get_search: called with what states a search (docs/searching.md), as
        `lambda search: search.space({…})`, and returns it. None: that of the
        config file.
      resume, overwrite, callback, progress: as of `train`.
      share: begin the search, or train it together with the processes that were
        started so too; this stays to its end.
      mirror: a file, or the URL of a database, in which a study of Optuna
        follows; None: none.

    Returns:
      The results.

    Raises:
      lv.Error: as of `train`; a search that cannot be, or has no `get_search`.
      KeyboardInterrupt: training was interrupted.
    """
    mode, watch = _mode(resume, overwrite, share), _watch(callback)
    workdir = arguments.path('workdir', workdir, 'runs/search')
    if mirror is not None:
      mirror = arguments.path('mirror', mirror, 'runs/search.log')
    search = check.read(self._search_of(get_search))
    with _training(progress):
      if resume and share:  # else this would begin it
        directory.check(workdir, None, directory.Mode.RESUME)
      searching.train(
        *(workdir, self.name, self.config, search, mode, watch, mirror)
      )
    return results.Results(workdir)

  def _search_of(
    self, get_search: Callable[[Any], Any] | None
  ) -> Callable[[Any], Any]:
    """Return what states a search.

    Raises:
      SpaceError: nothing does, or there is a grid beside it.
    """
    if self._is_grid:
      raise space.SpaceError(
        'a search sets the fields itself, and the study has a grid; nearest: '
        'lv.Study(config).search(…)'
      )
    if get_search is None and self._path is not None:
      get_search = source.load_search(self._path)
    if not callable(get_search):
      raise space.SpaceError(
        f'{get_search!r:.40} is no function; nearest: '
        'lambda search: search.space({…})'
      )
    return get_search


@contextlib.contextmanager
def _training(progress: bool) -> Iterator[None]:
  """Train inside: say it or not, hear signals, and end with all processes."""
  arguments.flag('progress', progress)
  backend.check()
  quiet = contextlib.nullcontext() if progress else console.quiet()
  with quiet, interrupt.heard(), agreement.together():
    yield


def _checked(name: Any) -> str:
  """Return the name of a study.

  Raises:
    GridError: it is none.
  """
  if isinstance(name, str) and name and name.isprintable():
    return name
  raise local.GridError(f"name={name!r}: is no name; nearest: name='study'")


def _mode(
  resume: bool, overwrite: bool, share: bool, wait: bool = False
) -> directory.Mode:
  given = {'resume': resume, 'overwrite': overwrite}
  for name, value in {**given, 'share': share, 'wait': wait}.items():
    arguments.flag(name, value)
  if resume and overwrite:
    raise local.GridError(
      'resume and overwrite: one goes on, the other begins anew; nearest: '
      'resume'
    )
  if share and overwrite:
    raise local.GridError(
      'share and overwrite: would remove what others train; nearest: share'
    )
  if wait and not share:
    raise local.GridError(
      'wait: waits for others of share; nearest: share=True, wait=True'
    )
  if share:
    return directory.Mode.SHARE
  if resume:
    return directory.Mode.RESUME
  return directory.Mode.OVERWRITE if overwrite else directory.Mode.NEW


def _watch(callback: Callback | None) -> watching.Watch:
  if callback is None:
    return watching.NOBODY
  if not callable(callback):
    raise CallbackError(f'callback={callback!r}: is no function of rows')

  def see(evaluation: watching.Evaluation) -> None:
    callback([dict(row) for row in evaluation.rows])

  return watching.Watch(see)


def _get_hyper(
  grid: Any, of_file: Callable[[Any], Any] | None
) -> Callable[[Any], Iterable[Any]]:
  """Return a grid as the function that `local.expand` asks.

  Raises:
    GridError: it is none.
  """
  if grid is None:
    return of_file or (lambda hyper: [{}])
  if callable(grid):
    get_hyper: Any = grid
    return get_hyper
  if isinstance(grid, Mapping):
    settings = hyper.product(
      [
        [{_dotted(field): value} for value in _values(values)]
        for field, values in grid.items()
      ]
    )
    return lambda hyper: settings
  if isinstance(grid, Sequence) and not isinstance(grid, str):
    listed = [
      {_dotted(k): source.plain(v) for k, v in one.items()}
      if isinstance(one, Mapping)
      else one
      for one in grid
    ]
    return lambda hyper: listed
  raise local.GridError(
    f'{grid!r} is no grid: give field -> values, or a list of settings'
  )


def _dotted(field: Any) -> str:
  name = str(field)
  return name if name.startswith(_PREFIX) else f'{_PREFIX}{name}'


def _values(values: Any) -> list[Any]:
  """Return the values of a field; one alone is a list of one."""
  values = source.plain(values)
  if isinstance(values, Iterable) and not isinstance(values, str | bytes):
    return [source.plain(value) for value in values]
  return [values]
