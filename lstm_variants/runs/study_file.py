"""study.json of up to 100,000 runs: a run a line, read a line at a time.

    {
      "format": 2,
      …
      "runs": [
        {"seed": 0, …},
        {"seed": 1, …}
      ]
    }

It is JSON as any other. Older versions wrote a run in many lines: such a file
is read as a whole, and so it may have less bytes.
"""

from collections.abc import Iterator, Mapping
import io
import json
import pathlib
from typing import Any

from lstm_variants import errors, opening
from lstm_variants.runs import files, sharing

# Runs of a study, at most; a run takes about 1.6 KB.
MOST_RUNS = 100_000
# Bytes of study.json, where a run is a line, and where it is not.
LARGEST, LARGEST_WHOLE = 2**29, 2**26
_BEGIN, _END = b'  "runs": [\n', b'  ]\n'
_TAIL = b'}\n'


class _OtherLayoutError(Exception):
  """A run is not in a line."""


class StudyError(errors.Error, ValueError):
  """A study is too large to be read; the message is one line."""


def encode(study: Mapping[str, Any]) -> bytes:
  """Return the file of a study, whose runs are its last entry.

  Raises:
    StudyError: it has more than can be read.
  """
  head = {name: value for name, value in study.items() if name != 'runs'}
  text = json.dumps(files.jsonable(head), indent=2, allow_nan=False).encode()
  runs = [files.json_line(run)[:-1] for run in study['runs']]
  lines = b''.join((b'    ', b',\n    '.join(runs), b'\n')) if runs else b''
  data = b''.join((text[:-2], b',\n', _BEGIN, lines, _END, _TAIL))
  if len(data) > LARGEST:
    raise StudyError(
      f'{len(runs):,} runs have {len(data):,} bytes of configs, at most '
      f'{LARGEST:,} make a study; split it'
    )
  return data


@opening.again
def read(path: pathlib.Path) -> Any:
  """Read a study; nobody may change what is returned.

  Raises:
    DamagedError: it is not JSON, or more than a study has.
    OSError: it cannot be opened, or is no regular file.
  """
  with opening.open_file(path, LARGEST) as file:
    head = _head(file)
    if head is not None:
      try:
        return _read_lines(head, file)
      except _OtherLayoutError:
        pass
  return files.read_json(path, LARGEST_WHOLE, sharing.Sections())


def _head(file: io.BufferedReader) -> bytes | None:
  """Return what comes before the runs, None where no line begins them."""
  lines, size = [], 0
  for line in _lines(file):
    if line == _BEGIN:
      return b''.join(lines)
    lines.append(line)
    size += len(line)
    if size > LARGEST_WHOLE:
      return None
  return None


def _read_lines(head: bytes, file: io.BufferedReader) -> Any:
  """Return a study whose runs are lines."""
  sections = sharing.Sections()
  runs: list[Any] = []
  for line in _lines(file):
    if line == _END:
      break
    if len(runs) == MOST_RUNS:
      raise files.DamagedError(f'has more than {MOST_RUNS:,} runs')
    text = line.strip().removesuffix(b',')
    if not (text.startswith(b'{') and text.endswith(b'}')):
      raise _OtherLayoutError
    runs.append(files.parse_json(text, sections=sections))
  if file.read(len(_TAIL) + 1) != _TAIL:
    raise _OtherLayoutError
  study = files.parse_json(
    head.rstrip().removesuffix(b',') + b'}', LARGEST_WHOLE
  )
  if isinstance(study, dict):
    study['runs'] = runs
  return study


def _lines(file: io.BufferedReader) -> Iterator[bytes]:
  """Yield lines, as long as they are such as we write."""
  while line := file.readline(files.LARGEST_LINE + 1):
    if len(line) > files.LARGEST_LINE:
      raise _OtherLayoutError
    yield line
