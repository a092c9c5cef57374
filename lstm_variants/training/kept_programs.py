"""Programs that earlier processes compiled, kept in the user's cache.

Most of the seconds before a first update are XLA's. JAX can keep what it
compiles in a directory, under a digest of the program itself, of its options
and of the versions, so that nothing old is ever taken for what has changed. But
it writes in place: a process that is killed there leaves half of a program, of
which every later one would complain. So each process has a directory of its
own, into which the programs of all are linked, and its whole ones back.
"""

import atexit
import contextlib
import fcntl
import hashlib
import os
import pathlib
import platform
import shutil
import socket
import stat
import tempfile
import time
from typing import NamedTuple
import zlib

import jax
import jaxlib

from lstm_variants.training import memory

# Bytes of all programs together; those that were used least lately go.
_LIMIT = 512 * 2**20
# Programs that compile in fewer seconds are not worth a file.
_SHORTEST = 0.05
# What JAX names the file of a program, and we the directory of a process.
_PROGRAM, _PROCESS = '-cache', 'process-'
# Seconds after which the directory of a process that has ended is removed. It
# does not hold its lock from the first moment on.
_OLD = 3600
_ZSTANDARD = b'\x28\xb5\x2f\xfd'


class _Place(NamedTuple):
  """The programs of all processes, and those that this one sees."""

  shared: pathlib.Path
  own: pathlib.Path


class _State:
  """Where this process keeps its programs, None if nowhere."""

  place: _Place | None = None


def keep() -> None:
  """Have JAX take programs from the user's cache, and keep new ones there.

  To be called before anything is compiled, and `share` after. Nothing is kept
  where JAX has a directory already (JAX_COMPILATION_CACHE_DIR) or is to keep
  nothing (JAX_ENABLE_COMPILATION_CACHE=false), by one of several joined
  processes, and where the user's cache cannot be written or others can write to
  it: to load a program is to run it.
  """
  config = jax.config
  unwanted = not getattr(config, 'jax_enable_compilation_cache', True)
  taken = getattr(config, 'jax_compilation_cache_dir', None)
  if unwanted or taken or _State.place or jax.process_count() > 1:
    return
  with contextlib.suppress(OSError, RuntimeError):  # no home
    _State.place = _open(_directory())
  if _State.place is None:
    return
  atexit.register(_close)
  config.update('jax_compilation_cache_dir', str(_State.place.own))
  # What XLA keeps beside would bring the directory's name into the digests.
  config.update('jax_persistent_cache_enable_xla_caches', 'none')
  if 'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS' not in os.environ:
    config.update('jax_persistent_cache_min_compile_time_secs', _SHORTEST)


def share() -> None:
  """Let other processes have what this one has compiled."""
  if _State.place is None:
    return
  shared, own = _State.place
  with contextlib.suppress(OSError):
    known = set(os.listdir(shared))
    for entry in os.scandir(own):
      if entry.name.endswith(_PROGRAM) and entry.name not in known:
        _publish(pathlib.Path(entry.path), shared / entry.name)


def _publish(program: pathlib.Path, shared: pathlib.Path) -> None:
  """Link a program to where all find it, once it is whole on the disk."""
  data = program.read_bytes()
  if not data.startswith(_ZSTANDARD):
    try:
      zlib.decompress(data)
    except zlib.error:  # the disk was full
      return
  with program.open('rb') as file:
    os.fsync(file)
  with contextlib.suppress(FileExistsError):
    os.link(program, shared)


def _directory() -> pathlib.Path:
  """Return where all processes keep what runs on this machine.

  JAX's digest is of the versions too; what it may leave out is the processor,
  for which XLA chooses instructions, and its cores, over which it spreads work.
  """
  home = os.environ.get('XDG_CACHE_HOME', '')
  cache = pathlib.Path(home if os.path.isabs(home) else '~/.cache').expanduser()
  machine = [platform.machine(), jax.__version__, jaxlib.__version__]
  with contextlib.suppress(OSError):
    lines = pathlib.Path('/proc/cpuinfo').read_text().splitlines()
    words = 'model name', 'flags', 'Features', 'CPU implementer', 'CPU part'
    machine += sorted({line for line in lines if line.startswith(words)})
  machine.append(str(memory.cores()))
  digest = hashlib.sha256('\n'.join(machine).encode()).hexdigest()
  return cache / 'lstm_variants' / 'programs' / digest[:16]


def _open(shared: pathlib.Path) -> _Place | None:
  """Make a directory of this process with the programs of all.

  Returns:
    None if others than this user can write to the programs.

  Raises:
    OSError: they cannot be written, or not be linked.
  """
  shared.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
  shared.mkdir(exist_ok=True, mode=0o700)
  if not all(map(_is_private, (shared.parent, shared))):
    return None
  _tidy(shared.parent)
  own = pathlib.Path(
    tempfile.mkdtemp(prefix=f'{_PROCESS}{socket.gethostname()}-', dir=shared)
  )
  # Open, and so locked, as long as this process lives.
  fcntl.flock(os.open(own, os.O_RDONLY), fcntl.LOCK_SH | fcntl.LOCK_NB)
  for entry in os.scandir(shared):
    is_file = entry.is_file(follow_symlinks=False)
    if is_file and entry.name.endswith(_PROGRAM) and entry.stat().st_size:
      with contextlib.suppress(FileNotFoundError):  # just tidied away
        os.link(entry.path, own / entry.name)
  return _Place(shared, own)


def _is_private(directory: pathlib.Path) -> bool:
  """Tell whether a directory is this user's, and nobody else writes there."""
  status = directory.lstat()
  writable = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
  owned = status.st_uid == os.geteuid()
  return stat.S_ISDIR(status.st_mode) and owned and not writable


def _tidy(directory: pathlib.Path) -> None:
  """Remove what ended processes left, and the programs beyond the limit."""
  for left in directory.glob(f'*/{_PROCESS}*'):
    with contextlib.suppress(OSError):
      _remove_if_ended(left)
  uses, total = [], 0
  for path in directory.glob(f'*/*{_PROGRAM}'):
    with contextlib.suppress(FileNotFoundError):
      status = path.lstat()
      uses.append((max(status.st_atime, status.st_mtime), path))
      total += status.st_size
  for _, path in sorted(uses) if total > _LIMIT else ():
    with contextlib.suppress(FileNotFoundError):
      total -= path.lstat().st_size
      path.unlink()
    if total <= _LIMIT // 2:
      break


def _remove_if_ended(own: pathlib.Path) -> None:
  """Remove the directory of a process that holds its lock no more.

  Raises:
    OSError: it does, or nobody can tell.
  """
  if time.time() - own.lstat().st_mtime < _OLD:
    return
  descriptor = os.open(own, os.O_RDONLY | os.O_NOFOLLOW)
  try:
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    shutil.rmtree(own)
  finally:
    os.close(descriptor)


def _close() -> None:
  """Share what there is, and remove the directory of this process."""
  if _State.place:
    share()
    shutil.rmtree(_State.place.own, ignore_errors=True)
