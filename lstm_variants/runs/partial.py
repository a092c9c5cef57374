"""Populations that are begun and not finished: where they lie, who has them.

    populations/NAME.TOKEN.partial    of the process that has a lease with this
                                      token, or by itself the whole study: then
                                      it is that of its lock
    populations/NAME.partial          of an earlier version, that had no token
                                      where one had the whole study

Who goes on with a population gives its directory a name of its own, by one
rename: of two who do so one succeeds, and whoever had it before writes under a
name that is no more. What he has open, which a rename does not take from him,
is replaced by copies.

There may be several of one population: one that slept may make an empty one
anew when it wakes. The one with the newest checkpoint counts; all of them are
of the same runs, and whatever was saved is what any other would have saved.
"""

import collections
from collections.abc import Callable
import contextlib
import errno
import os
import pathlib
import re
import secrets
import shutil

from lstm_variants.runs import checkpoint, files
from lstm_variants.runs import holder as holder_lib

SUFFIX = '.partial'
POPULATIONS = 'populations'
CHECKPOINTS = 'checkpoints'
_END = re.compile(rf'(\.{holder_lib.TOKEN.pattern})?{re.escape(SUFFIX)}\Z')


def place(workdir: str | pathlib.Path, name: str, token: str) -> pathlib.Path:
  """Return where a population is trained; token: '' without."""
  end = f'.{token}{SUFFIX}' if token else SUFFIX
  return pathlib.Path(workdir) / POPULATIONS / f'{name}{end}'


def population(folder: pathlib.Path) -> str:
  """Return the population of a directory, finished or not."""
  match = _END.search(folder.name)
  return folder.name[: match.start()] if match else folder.name


def finished(
  workdir: str | pathlib.Path, before: frozenset[str] | None = None
) -> frozenset[str]:
  """Return the populations that are finished, by one look at all of them.

  Args:
    workdir: of the study.
    before: what was seen before; it stands where the file system does not
      answer for a while. None: nothing was.

  Raises:
    StorageError: the system refuses.
  """
  folder = pathlib.Path(workdir) / POPULATIONS
  with files.refusals(folder):
    try:
      names = os.listdir(folder)
    except FileNotFoundError:
      return frozenset()
    except OSError as error:
      if before is None or error.errno not in (*files.SILENT, errno.ESTALE):
        raise
      return before
  return frozenset(name for name in names if not name.endswith(SUFFIX))


def begun(workdir: str | pathlib.Path) -> dict[str, pathlib.Path]:
  """Return the populations that are begun and not finished: name -> place."""
  places = collections.defaultdict(list)
  for folder in (pathlib.Path(workdir) / POPULATIONS).glob(f'*{SUFFIX}'):
    if not folder.with_name(population(folder)).is_dir():
      places[population(folder)].append(folder)
  return {name: _best(places[name]) for name in sorted(places)}


def find(workdir: str | pathlib.Path, name: str) -> pathlib.Path | None:
  """Return where a population was trained before, None: nowhere."""
  folders = _all(pathlib.Path(workdir) / POPULATIONS / name)
  return _best(folders) if folders else None


def adopt(own: pathlib.Path, check: Callable[[], None] = lambda: None) -> None:
  """Go on with what was trained of a population, in a directory of one's own.

  Whenever this is killed, what counts is there as a whole.

  Args:
    own: what `place` returns; afterwards it is there if anything was begun.
    check: raises an error where this process has lost the population.

  Raises:
    StorageError: the system refuses.
  """
  final = own.with_name(population(own))
  folders = _all(final)
  for folder in folders:  # another host may have saved a moment ago
    if not folder.is_symlink():
      files.look_anew(folder)
      files.look_anew(folder / CHECKPOINTS)
  check()  # only now: nobody else has any of these
  if folders in ([], [own]) and not final.is_dir():
    return
  with files.refusals(own):
    # What is finished counts.
    best = None if final.is_dir() else _best(folders)
    for folder in folders:
      if folder != best:
        shutil.rmtree(folder, ignore_errors=True)
    if best is not None and best != own:
      try:
        os.rename(best, own)
      except FileNotFoundError:
        # Who had it before woke just now, and gave it a name of his own.
        adopt(own, check)
        return
      _part(own)
    files.sync_directory(own.parent)


def rename_all(workdir: pathlib.Path, check: Callable[[], None]) -> None:
  """Give all that is begun other names: whoever had it finishes nothing.

  For who has a study alone, and is about to have it trained in another way:
  others may sleep just before they finish what is no longer wanted.

  Args:
    workdir: of the study.
    check: raises an error where this process has lost the study.

  Raises:
    StorageError: the system refuses.
  """
  folder = workdir / POPULATIONS
  files.look_anew(folder)
  with files.refusals(folder):
    begun = sorted(folder.glob(f'*{SUFFIX}'))
    check()  # only now: whoever comes later has names of his own
    for own in begun:
      # Who wakes just now has finished it: it is looked at as what there was.
      with contextlib.suppress(FileNotFoundError):
        token = secrets.token_hex(8)
        os.rename(own, place(workdir, population(own), token))


def _part(folder: pathlib.Path) -> None:
  """Replace what may be open elsewhere by copies; no checkpoint ever is."""
  for path in sorted(folder.rglob('*')):
    is_saved = CHECKPOINTS in path.relative_to(folder).parts
    if path.is_symlink() or not path.is_file():
      continue
    if path.name.endswith(files.ASIDE):
      path.unlink(missing_ok=True)
    elif not is_saved:
      files.write(path, path.read_bytes())


def _all(final: pathlib.Path) -> list[pathlib.Path]:
  """Return the directories of a population that is not finished."""
  if not final.parent.is_dir():
    return []
  return [
    folder
    for folder in sorted(final.parent.glob(f'*{SUFFIX}'))
    if population(folder) == final.name and folder.is_dir()
  ]


def _best(folders: list[pathlib.Path]) -> pathlib.Path:
  return max(
    folders, key=lambda one: checkpoint.newest_update(one / CHECKPOINTS)
  )
