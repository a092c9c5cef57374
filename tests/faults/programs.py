"""Parts of the long fault tests that try every program, not `sweep` alone."""

from collections.abc import Callable, Sequence
import concurrent.futures
import functools
import hashlib
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
from typing import Any, NamedTuple

from tests.faults import harness, tiny_claim

# What a shell puts behind a command, and the status that is promised.
STREAMS = {
  '>&-': 0,
  '2>&-': 0,
  '<&-': 0,
  '>/dev/full': 6,
  '| head -1': 0,
  '| true': 0,
}
COMPARES = 200
# Of each program.
KILLS = 20
# Statuses of the table, signals left out.
_STATUSES = {0, 2, 3, 4, 5, 6}
# In any case enough to read a file.
_SECONDS = 60
_READERS = {
  'compare': (),
  'status': (),
  'analyse': ('--figure=survival',),
  'export': ('--run=best', '--out=OUT'),
}


def streams(folder: pathlib.Path, digest: str, quick: bool) -> list[str]:
  """Give programs the streams that a shell gives them."""
  study = _copied(folder, 'streams')
  commands = {
    '--help': ('--help',),
    'sweep': ('sweep', harness.STUDY, f'--workdir={folder / "swept"}'),
    'compare': ('compare', f'--workdir={study}'),
  }
  right = tried = 0
  for name, words in commands.items():
    for given, status in STREAMS.items():
      if quick and (name, given) != ('sweep', '>&-'):
        continue
      shutil.rmtree(folder / 'swept', ignore_errors=True)
      done = subprocess.run(
        [
          *('bash', '-c', f'"$@" {given}; exit ${{PIPESTATUS[0]}}', 'bash'),
          *(sys.executable, '-m', 'lstm_variants', *words),
        ],
        cwd=harness.REPOSITORY,
        capture_output=True,
        text=True,
      )
      fine = done.returncode == status and 'Traceback' not in done.stderr
      fine &= done.stderr.count('\n') <= (status != 0)
      if name == 'sweep':
        fine &= harness.digest(folder / 'swept') == digest
      if not fine:
        print(name, given, done, file=sys.stderr)
      tried, right = tried + 1, right + fine
  return [
    '### Streams',
    '',
    f'- {", ".join(f"`{given}`" for given in STREAMS)} of `--help`, `sweep` '
    f'and `compare`: {right} of {tried} ended with the promised status and no '
    'traceback, and what they write was whole. Forks try every command: '
    '`tests/commands/streams_test.py`.',
  ]


def compares(folder: pathlib.Path, digest: str, quick: bool) -> list[str]:
  """Compare one study by many processes at once."""
  del digest
  study, count = _copied(folder, 'compared'), 8 if quick else COMPARES
  assert harness.fork('compare', f'--workdir={study}')['status'] == 0
  alone = _texts(study)

  def compare(number: int) -> bool:
    del number
    done = harness.fork('compare', f'--workdir={study}')
    return done['status'] == 0 and not done['stderr']

  with concurrent.futures.ThreadPoolExecutor(8) as pool:
    right = sum(pool.map(compare, range(count)))
  same = 'as after one alone' if _texts(study) == alone else 'NOT as after one'
  return [
    '### Concurrent reports',
    '',
    f'- {count} processes compared one directory, eight at a time: {right} of '
    f'{count} ended well; the files are {same}.',
  ]


class _Plant(NamedTuple):
  """What is put in the place of a file."""

  name: str
  put: Callable[[pathlib.Path], Any]


def _json(path: pathlib.Path, value: Any) -> None:
  path.write_text(json.dumps(value))


_PLANTS = (
  _Plant('nothing', lambda path: None),
  _Plant('a pipe', os.mkfifo),
  _Plant('a directory', pathlib.Path.mkdir),
  _Plant('/dev/zero', lambda path: path.symlink_to('/dev/zero')),
  _Plant('a link to itself', lambda path: path.symlink_to(path)),
  _Plant('no byte', lambda path: path.write_bytes(b'')),
  _Plant('zeros', lambda path: path.write_bytes(bytes(5000))),
  _Plant('no text', lambda path: path.write_bytes(b'\xff\xfe{"\xd8' * 99)),
  _Plant('8 GiB of nothing', lambda path: _sparse(path)),
  _Plant('a list', lambda path: _json(path, [1, 'x', None])),
  _Plant('deep JSON', lambda path: path.write_text('[' * 99_999)),
  _Plant('half a sign', lambda path: _json(path, {'name': '\ud800'})),
)


def _sparse(path: pathlib.Path) -> None:
  with open(path, 'wb') as file:
    file.truncate(2**33)


def hostile(folder: pathlib.Path, digest: str, quick: bool) -> list[str]:
  """Put what is none in the place of every file that a reader opens."""
  del digest
  study = _copied(folder, 'hostile')
  assert harness.fork('compare', f'--workdir={study}')['status'] == 0
  assert harness.fork('analyse', f'--workdir={study}')['status'] == 0
  # One of each kind will do.
  kinds = {_kind(path.relative_to(study)) for path in study.rglob('*.*')}
  names = sorted(
    str(min(study.glob(kind)).relative_to(study)) for kind in kinds
  )
  cases = [
    (name, plant, reader)
    for name in [*names, '.lock']
    for plant in _PLANTS
    for reader in _READERS
  ]
  if quick:
    cases = cases[:: len(cases) // 12]

  def read(case: tuple[str, _Plant, str]) -> bool:
    name, plant, reader = case
    place = folder / f'hostile{cases.index(case)}'
    planted = pathlib.Path(shutil.copytree(study, place / 'study'))
    path = planted / name
    path.unlink(missing_ok=True)
    plant.put(path)
    words = [
      word.replace('OUT', f'{place}/o.onnx') for word in _READERS[reader]
    ]
    try:
      done = harness.fork(
        reader, f'--workdir={planted}', *words, seconds=_SECONDS
      )
    except TimeoutError:
      print(name, plant.name, reader, 'does not end', file=sys.stderr)
      return False
    finally:
      shutil.rmtree(place)
    fine = done['status'] in _STATUSES and 'Traceback' not in done['stderr']
    if not fine:
      print(name, plant.name, reader, done, file=sys.stderr)
    return fine

  right = sum(_side_by_side(read, cases))
  plants = ', '.join(plant.name for plant in _PLANTS)
  return [
    '### Hostile files',
    '',
    f'- In the place of each of {len(names) + 1} files ({plants}), read by '
    f'{", ".join(_READERS)}: {right} of {len(cases)} ended within {_SECONDS} s '
    'with a status of the table and without a traceback.',
  ]


def _kind(path: pathlib.Path) -> str:
  """Return a pattern of the files like this one, below the study."""
  if len(path.parts) == 1:
    return path.name
  folder, *between, name = path.parts
  if folder == 'populations' and path.suffix != '.safetensors':
    return f'{folder}/*/{name}'
  return '/'.join((folder, *('*' for _ in between), f'*{path.suffix}'))


def programs_killed(
  folder: pathlib.Path, digest: str, quick: bool
) -> list[str]:
  """Kill every program at random moments, then run it to its end."""
  lines = []
  for name in ('sweep', 'analyse', 'compare', 'reproduce', 'export'):
    work = functools.partial(
      _killed, name, folder, digest, 1 if quick else KILLS
    )
    kills, same = work()
    lines.append(
      f'- `{name}`: {kills} kills; then it ended with status 0, and what it '
      f'left is {"" if same else "NOT "}complete and equal.'
    )
  return ['### `kill -9` of every program', '', *lines]


def _killed(
  name: str, folder: pathlib.Path, digest: str, kills: int
) -> tuple[int, bool]:
  """Kill a program often; tell whether it leaves in the end what it should."""
  whole, study = _copied(folder, f'{name}_whole'), _copied(folder, name)
  if name in ('sweep', 'reproduce'):
    shutil.rmtree(study)
    shutil.rmtree(whole)
  seconds = harness.timed(_program(name, whole))
  randomness = random.Random(name)
  for _ in range(kills):
    process = harness.begin(_program(name, study))
    try:
      process.wait(randomness.uniform(0, seconds))
    except subprocess.TimeoutExpired:
      process.kill()
    process.communicate()
  process = harness.begin(_program(name, study))
  _, err = process.communicate(timeout=300)
  if process.returncode != 0:
    print(name, process.returncode, err, file=sys.stderr)
    return kills, False
  if name == 'sweep':
    return kills, harness.digest(study) == digest
  if name == 'reproduce':
    there = (study / 'claims.csv').is_file()
    return kills, there and harness.digest(study / tiny_claim.NAME) == digest
  return kills, _texts(study) == _texts(whole)


def _program(name: str, workdir: pathlib.Path) -> Sequence[str]:
  """Return the module and the arguments of a program, which may go on."""
  place = f'--workdir={workdir}'
  if name == 'reproduce':
    return ('tests.faults.tiny_claim', place)
  words = ('lstm_variants', name, place)
  if name == 'sweep':
    return (*words, harness.STUDY, *harness.resume_flags(workdir))
  if name == 'export':
    return (*words, '--run=best', f'--out={workdir / "best.onnx"}')
  return words


def _copied(folder: pathlib.Path, name: str) -> pathlib.Path:
  """Copy the undisturbed study."""
  return pathlib.Path(shutil.copytree(folder / 'undisturbed', folder / name))


def _texts(study: pathlib.Path) -> dict[str, str]:
  """Return the name of each file, and the hash of what has no time in it."""
  return {
    str(path.relative_to(study)): (
      hashlib.sha256(path.read_bytes()).hexdigest()
      if path.suffix in ('.csv', '.onnx')
      else ''
    )
    for path in sorted(study.rglob('*'))
    if path.is_file() and path.suffix != '.tmp' and path.name[0] != '.'
  }


def _side_by_side(work: Callable[[Any], Any], items) -> list[Any]:
  with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    return list(pool.map(work, items))
