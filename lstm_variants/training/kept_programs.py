"""Programs that earlier processes compiled, kept in the user's cache.

Most of the seconds before a first update are XLA's. JAX can keep what it
compiles in a directory, under a digest of the program itself, of its options
and of the versions, so that nothing old is ever taken for what has changed. But
it writes in place: a process that is killed there leaves half of a program, of
which every later one would complain. So each process has a directory of its
own, into which the programs of all are linked, and its whole ones back.
"""

import atexit
from collections.abc import Iterator
import contextlib
import fcntl
import hashlib
import importlib
import os
import pathlib
import platform
import shutil
import socket
import stat
import tempfile
import time
from typing import NamedTuple
import warnings
import zlib

import jax
import jaxlib

from lstm_variants.training import memory

# Bytes of all programs together when a process starts; of more, those that
# were used least lately go.
_LIMIT = 512 * 2**20
# Programs that compile in fewer seconds are not worth a file.
_SHORTEST = 0.05
# What JAX names the file of a program, and we the directory of a process.
_PROGRAM, _PROCESS = '-cache', 'process-'
# Seconds after which the directory of a process that has ended is removed: it
# does not hold its lock from the first moment on. What a process of another
# machine holds, this one may not see.
_OLD, _OLD_ELSEWHERE = 3600, 7 * 24 * 3600
_ZSTANDARD = b'\x28\xb5\x2f\xfd'
# Before it, XLA complains on many CPUs of what it has itself compiled there.
_SILENT = (0, 10, 2)


class _Place(NamedTuple):
  """The programs of all processes, those of this one, and who that is."""

  shared: pathlib.Path
  own: pathlib.Path
  process: int


class _State:
  """Where this process keeps its programs, None if nowhere.

  `known` are the names of those that were linked, either way: what was removed
  since then stays so.
  """

  place: _Place | None = None
  known: set[str] = set()


def keep() -> None:
  """Have JAX take programs from the user's cache, and keep new ones there.

  To be called before anything is compiled, and `share` before and after it.
  Nothing is kept where JAX has a directory already (JAX_COMPILATION_CACHE_DIR)
  or is to keep nothing (JAX_ENABLE_COMPILATION_CACHE=false), by one of several
  joined processes, and where the user's cache cannot be written or others can
  write to it: to load a program is to run it.
  """
  if _State.place or not _is_wanted() or jax.process_count() > 1:
    return
  with contextlib.suppress(OSError, RuntimeError):  # no home
    _State.place = _open(_directory())
  if _State.place is None:
    return
  _State.known = set()
  share()
  atexit.register(_close)
  config = jax.config
  config.update('jax_compilation_cache_dir', str(_State.place.own))
  # What XLA keeps beside would bring the directory's name into the digests.
  config.update('jax_persistent_cache_enable_xla_caches', 'none')
  if 'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS' not in os.environ:
    config.update('jax_persistent_cache_min_compile_time_secs', _SHORTEST)
  # Nobody asked for it: what cannot be kept is compiled anew, and no news.
  warnings.filterwarnings(
    'ignore', 'Error (reading|writing) persistent compilation cache'
  )


def _is_wanted() -> bool:
  """Tell whether JAX has been told nothing else about what it compiles."""

  def chosen(name: str, default: object) -> object:
    return getattr(jax.config, f'jax_{name}', default)

  is_loud = jax.default_backend() == 'cpu' and jax.__version_info__ < _SILENT
  return (
    chosen('enable_compilation_cache', True) is True
    and not chosen('compilation_cache_dir', None)
    and chosen('compilation_cache_max_size', -1) == -1
    and not is_loud
  )


def share() -> None:
  """Let others have what this process has compiled, and have what they have."""
  if _State.place is None:
    return
  shared, own, _ = _State.place
  with contextlib.suppress(OSError):
    for path in [*_programs(shared), *_programs(own)]:
      if path.name not in _State.known:
        _State.known.add(path.name)
        with contextlib.suppress(OSError):
          if path.parent == own:
            _publish(path, shared / path.name)
          else:
            os.link(path, own / path.name)


def _programs(directory: pathlib.Path) -> Iterator[pathlib.Path]:
  """List the programs of a directory.

  Raises:
    OSError: it is gone.
  """
  for entry in os.scandir(directory):
    if entry.name.endswith(_PROGRAM) and entry.is_file(follow_symlinks=False):
      yield pathlib.Path(entry.path)


def _publish(program: pathlib.Path, shared: pathlib.Path) -> None:
  """Link a program to where all find it, once it is whole on the disk.

  Raises:
    OSError: that cannot be done.
  """
  if not _is_whole(program.read_bytes()):  # the disk was full
    return
  with program.open('rb') as file:
    os.fsync(file)
  with contextlib.suppress(FileExistsError):
    os.link(program, shared)


def _is_whole(data: bytes) -> bool:
  """Tell whether a file of JAX can be decompressed, by what JAX uses itself."""
  try:
    if not data.startswith(_ZSTANDARD):
      zlib.decompress(data)
      return True
    with contextlib.suppress(ImportError):  # Python 3.14
      importlib.import_module('compression.zstd').decompress(data)
      return True
    module = importlib.import_module('zstandard')
    module.ZstdDecompressor().decompress(data)
  except Exception:  # each has an error of its own
    return False
  return True


def _directory() -> pathlib.Path:
  """Return where all processes keep what runs on this machine.

  JAX's digest is of the versions too; what it may leave out is the processor,
  for which XLA chooses instructions, and its threads, over which it spreads
  work.
  """
  home = os.environ.get('XDG_CACHE_HOME', '')
  cache = pathlib.Path(home if os.path.isabs(home) else '~/.cache').expanduser()
  machine = [platform.machine(), jax.__version__, jaxlib.__version__]
  with contextlib.suppress(OSError):
    lines = pathlib.Path('/proc/cpuinfo').read_text().splitlines()
    words = 'model name', 'flags', 'Features', 'CPU implementer', 'CPU part'
    machine += sorted({line for line in lines if line.startswith(words)})
  machine.append(str(memory.cores()))
  machine += [os.environ.get(name, '') for name in ('NPROC', 'PJRT_NPROC')]
  digest = hashlib.sha256('\n'.join(machine).encode()).hexdigest()
  return cache / 'lstm_variants' / 'programs' / digest[:16]


def _open(shared: pathlib.Path) -> _Place | None:
  """Make a directory of this process.

  Returns:
    None if others than this user can write to the programs.

  Raises:
    OSError: nothing can be written, locked or linked there.
  """
  ours = shared.parent.parent, shared.parent, shared
  ours[0].parent.mkdir(parents=True, exist_ok=True)
  for directory in ours:
    directory.mkdir(exist_ok=True, mode=0o700)
    if not _is_private(directory):
      return None
  _tidy(shared.parent)
  own = pathlib.Path(tempfile.mkdtemp(prefix=_prefix(), dir=shared))
  # Open, and so locked, as long as this process lives.
  descriptor = os.open(own, os.O_RDONLY)
  try:
    fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    probe = own / 'probe'
    probe.touch()
    os.link(probe, own / 'link')
  except OSError:
    os.close(descriptor)
    shutil.rmtree(own, ignore_errors=True)
    raise
  return _Place(shared, own, os.getpid())


def _prefix() -> str:
  """Return how the names of the directories of this machine begin."""
  return f'{_PROCESS}{socket.gethostname()}-'


def _is_private(directory: pathlib.Path) -> bool:
  """Tell whether a directory is this user's, and nobody else writes there."""
  status = directory.lstat()
  writable = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
  owned = status.st_uid == os.geteuid()
  return stat.S_ISDIR(status.st_mode) and owned and not writable


def _tidy(directory: pathlib.Path) -> None:
  """Remove what ended processes left, and the programs beyond the limit.

  One process does: what two of them remove at once would be too much.
  """
  descriptor = os.open(directory, os.O_RDONLY)
  try:
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    for left in directory.glob(f'*/{_PROCESS}*'):
      with contextlib.suppress(OSError):
        _remove_if_ended(left)
    _evict(directory)
  except BlockingIOError:
    pass
  finally:
    os.close(descriptor)


def _evict(directory: pathlib.Path) -> None:
  """Remove programs down to half of the limit, if there are more."""
  uses, total = [], 0
  for path in directory.glob(f'*/*{_PROGRAM}'):
    with contextlib.suppress(FileNotFoundError):
      status = path.lstat()
      used = max(status.st_atime, status.st_mtime)
      uses.append((used, status.st_size, path))
      total += status.st_size
  for _, size, path in sorted(uses) if total > _LIMIT else ():
    path.unlink(missing_ok=True)
    total -= size
    if total <= _LIMIT // 2:
      break


def _remove_if_ended(own: pathlib.Path) -> None:
  """Remove the directory of a process that holds its lock no more.

  A lock of another machine may be none that is seen here.

  Raises:
    OSError: it does, or nobody can tell.
  """
  is_ours = own.name.startswith(_prefix())
  age = time.time() - own.lstat().st_mtime
  if age < (_OLD if is_ours else _OLD_ELSEWHERE):
    return
  descriptor = os.open(own, os.O_RDONLY | os.O_NOFOLLOW)
  try:
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    shutil.rmtree(own)
  finally:
    os.close(descriptor)


def _close() -> None:
  """Share what there is, and remove the directory of this process."""
  # A fork that ends has none.
  if _State.place and _State.place.process == os.getpid():
    share()
    shutil.rmtree(_State.place.own, ignore_errors=True)
