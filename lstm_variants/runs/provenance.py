"""Where results come from: the program and the machine."""

from collections.abc import Mapping, Sequence
import contextlib
import hashlib
import importlib.metadata
import os
import pathlib
import platform
import subprocess
import sys
from typing import Any

_PACKAGE = pathlib.Path(__file__).parents[1]
# Of the package, what the numbers of a run depend on.
_TRAINS = ('cells', 'config', 'models', 'tasks', 'training')


def describe() -> dict[str, Any]:
  """Describe the program and the machine: command, code, versions, host."""
  changes = _git('status', '--porcelain')
  return {
    'command': _command(sys.orig_argv),
    'commit': _git('rev-parse', 'HEAD'),
    'uncommitted_changes': None if changes is None else bool(changes),
    'source': source(),
    'python': platform.python_version(),
    'packages': packages(),
    'machine': platform.machine(),
    'system': platform.system(),
    'cpus': os.cpu_count(),
  }


def packages() -> dict[str, str]:
  """Return the versions of what trains, ours last."""
  versions = {}
  for name in ('jax', 'jaxlib', 'flax', 'optax', 'numpy', 'lstm-variants'):
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
      versions[name] = importlib.metadata.version(name)
  return versions


def source() -> str:
  """Return a hash of the code that trains, whatever its version says.

  A commit is not known of an installed package, and does not tell what was
  changed since; a version stays the same for many commits.
  """
  digest = hashlib.sha256()
  for name in _TRAINS:
    for path in sorted((_PACKAGE / name).rglob('*.py')):
      digest.update(f'{path.relative_to(_PACKAGE)}\0'.encode())
      digest.update(path.read_bytes())
  return digest.hexdigest()[:12]


def code(made: Mapping[str, Any]) -> str:
  """Return in words which code trained, from what `describe` recorded.

  Args:
    made: contents of a provenance.json; of an older version it has no source,
      and the commit stands for it.
  """
  packages = made.get('packages')
  version = packages.get('lstm-variants') if isinstance(packages, dict) else ''
  name = f'lstm-variants {version or "of unknown version"}'
  if made.get('source'):
    return f'{name}, source {made["source"]}'
  if not made.get('commit'):
    return name
  changed = ' with changes' if made.get('uncommitted_changes') else ''
  return f'{name}, commit {str(made["commit"])[:7]}{changed}'


def _command(words: Sequence[str]) -> list[str]:
  """Return a command line without where Python and our program are."""
  _, *rest = words
  if rest and pathlib.Path(rest[0]).name == 'lstm-variants':
    return ['lstm-variants', *rest[1:]]
  return ['python', *rest]


def _git(*arguments: str) -> str | None:
  """Ask git about the source tree; None where there is none."""
  with contextlib.suppress(OSError, subprocess.SubprocessError):
    return subprocess.run(
      ('git', *arguments),
      cwd=pathlib.Path(__file__).parent,
      capture_output=True,
      text=True,
      check=True,
      timeout=10,
    ).stdout.strip()
  return None
