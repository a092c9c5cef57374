"""What a measurement was made on and of: machine, versions, flags, commit."""

from collections.abc import Iterator
import contextlib
import importlib.metadata
import os
import pathlib
import platform

from lstm_variants.runs import provenance
from lstm_variants.training import compiling
from lstm_variants.training.memory import cores

PACKAGES = (
  'jax',
  'jaxlib',
  'flax',
  'optax',
  'dm-haiku',
  'equinox',
  'keras',
  'torch',
  'numpy',
)


@contextlib.contextmanager
def pinned(count: int) -> Iterator[None]:
  """Give processes started inside the first `count` cores only.

  XLA sizes its pool of threads when it starts: a number of cores needs a
  process of its own.
  """
  before = os.sched_getaffinity(0)
  os.sched_setaffinity(0, sorted(before)[:count])
  try:
    yield
  finally:
    os.sched_setaffinity(0, before)


def describe() -> list[str]:
  """Return the lines of a Markdown list: machine, versions, flags."""
  found = provenance.describe()
  options = ' '.join(f'{k}={v}' for k, v in compiling.options().items())
  return [
    f'- Machine: {_processor()}, {cores()} cores, {_memory():.0f} GiB, '
    f'{platform.system()} {platform.release()}',
    f'- Versions: Python {found["python"]}, '
    + ', '.join(f'{name} {_version(name)}' for name in PACKAGES),
    f'- XLA_FLAGS: {os.environ.get("XLA_FLAGS") or "none"}; compiler options '
    f'of ours: {options or "none"}',
  ]


def commit() -> str:
  """Return the line that says which program was measured."""
  found = provenance.describe()
  changed = ' with uncommitted changes' * bool(found['uncommitted_changes'])
  return f'Measured at commit {found["commit"] or "unknown"}{changed}.'


def _version(name: str) -> str:
  try:
    return importlib.metadata.version(name)
  except importlib.metadata.PackageNotFoundError:
    return '(not installed)'


def _processor() -> str:
  with contextlib.suppress(OSError):
    for line in pathlib.Path('/proc/cpuinfo').read_text().splitlines():
      if line.startswith('model name'):
        return line.partition(':')[2].strip()
  return platform.processor() or platform.machine()


def _memory() -> float:
  """Return the memory of the machine in GiB."""
  return os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30
