"""Files of flags, `--flagfile`: looked at before absl opens them."""

from collections.abc import Sequence
import os

from lstm_variants import opening
from lstm_variants.commands import config_file

# Bytes of one, and how many of them may name each other.
_LARGEST, _MOST = 2**20, 100


def check(argv: Sequence[str]) -> None:
  """Refuse files of flags that absl could not read, or not to an end.

  Raises:
    UsageError: one is no regular file of text, or too large; or there are too
      many.
  """
  pending = config_file.values_of('--flagfile', argv)
  seen = set()
  while pending:
    path = pending.pop()
    if path in seen:
      continue  # absl says so
    seen.add(path)
    if len(seen) > _MOST:
      raise config_file.UsageError(
        f'--flagfile={path}: more than {_MOST} files name each other'
      )
    pending += config_file.values_of('--flagfile', _lines(path))


def _lines(path: str) -> list[str]:
  """Return the lines of a file of flags."""
  try:
    text = opening.read(os.path.expanduser(path), _LARGEST).decode()
  except (OSError, ValueError) as error:
    why = getattr(error, 'strerror', None) or str(error)
    raise config_file.UsageError(
      f'--flagfile={path}: cannot be read: {why}'
    ) from error
  return [line.strip() for line in text.splitlines()]
