"""Where results come from: the program and the machine."""

from collections.abc import Sequence
import contextlib
import importlib.metadata
import os
import pathlib
import platform
import subprocess
import sys
from typing import Any


def describe() -> dict[str, Any]:
  """Describe the program and the machine: command, commit, versions, host."""
  changes = _git('status', '--porcelain')
  packages = {}
  for name in ('jax', 'jaxlib', 'flax', 'optax', 'numpy', 'lstm-variants'):
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
      packages[name] = importlib.metadata.version(name)
  return {
    'command': _command(sys.orig_argv),
    'commit': _git('rev-parse', 'HEAD'),
    'uncommitted_changes': None if changes is None else bool(changes),
    'python': platform.python_version(),
    'packages': packages,
    'machine': platform.machine(),
    'system': platform.system(),
    'cpus': os.cpu_count(),
  }


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
