"""The long version of the fault tests: writes docs/reliability.md.

    python -m tests.faults.report [--quick]

tests/faults/introduction.md comes first, by hand. --quick does a few of each,
to see that the report itself works.
"""

from collections.abc import Callable, Sequence
import concurrent.futures
import contextlib
import errno
import functools
import json
import os
import pathlib
import random
import signal
import statistics
import subprocess
import sys
import tempfile
from typing import Any, NamedTuple

import numpy as np

from lstm_variants.config import populations
from lstm_variants.launch import local
from lstm_variants.runs import checkpoint, files, provenance
from lstm_variants.training import resume, states
from tests import conftest
from tests.commands import matrix
from tests.faults import harness, programs, soak
from tests.faults import study as study_config

QUICK = '--quick' in sys.argv
PAGE = pathlib.Path(__file__).parents[2] / 'docs' / 'reliability.md'
INTRODUCTION = pathlib.Path(__file__).parent / 'introduction.md'
KILLS = 2 if QUICK else 300
# Of one study, which then comes through.
MOST = 20
# Of workers that share one.
WORKERS_KILLED = 20
CODES = {signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGHUP: 129}


class Fault(NamedTuple):
  """A planted fault, and the exit status that is promised."""

  name: str
  plant: dict[str, Any]
  status: int


def main() -> None:
  """Run every part, then write the page."""
  conftest.hear_signals()
  with contextlib.ExitStack() as stack:
    folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
    os.environ.update(harness.share_compiled(folder / 'cache'))
    whole = folder / 'undisturbed'
    assert harness.run(whole).status == 0
    digest = harness.digest(whole)
    parts: Sequence[Callable[[pathlib.Path, str], list[str]]] = (
      kills,
      signals,
      refusals,
      damage,
      writers,
      workers,
      *(
        functools.partial(part, quick=QUICK)
        for part in (
          programs.streams,
          programs.compares,
          programs.hostile,
          programs.programs_killed,
        )
      ),
      growth,
      cost,
    )
    lines = []
    for part in parts:
      name = getattr(part, 'func', part).__name__
      print(name, file=sys.stderr, flush=True)
      lines += [*part(folder, digest), '']
  commit = provenance.describe()['commit']
  text = [
    INTRODUCTION.read_text().rstrip(),
    '',
    '## Sixty-four bad inputs',
    '',
    'What any training program meets, and ours to each; a test tries them.',
    '',
    *matrix.table(),
    '',
    '## Measured',
    '',
    f'By `make faults` at commit {commit}, {os.cpu_count()} cores.',
    '',
    *lines,
  ]
  print('\n'.join(lines))
  if not QUICK:
    PAGE.write_text('\n'.join(text).rstrip() + '\n')


def kills(folder: pathlib.Path, digest: str) -> list[str]:
  """Kill at random moments, and at every call that makes a file durable."""

  def session(number: int) -> float:
    return harness.seconds_alone(folder / f'timed{number}')

  # A few sessions come through, most are killed wherever they are; how long one
  # takes is looked at again, as the machine may be busy for a while.
  latest = 0.0

  def trial(number: int) -> tuple[list[harness.Kill], bool]:
    workdir = folder / f'kill{number}'
    found = harness.kill_until_done(
      workdir, latest, MOST, random.Random(number)
    )
    return found, harness.digest(workdir) == digest

  found: list[harness.Kill] = []
  same = trials = 0
  while len(found) < KILLS:
    if trials % 20 == 0:
      timed = range(trials, trials + 2)
      latest = 1.2 * max(_side_by_side(session, timed))
    for some, equal in _side_by_side(trial, range(trials, trials + 2)):
      found += some
      same += equal
      trials += 1
  phases = {kill.phase: 0 for kill in found}
  for kill in found:
    phases[kill.phase] += 1
  calls = [
    Fault(f'{at} {n}', {'at': at, 'number': n, 'signals': [9]}, -9)
    for at in ('fsync', 'replace')
    for n in range(1 if QUICK else 10)
  ]
  disturbed = _survive(folder, digest, calls)
  phase_text = ', '.join(f'{n} {phase}' for phase, n in sorted(phases.items()))
  return [
    '### `kill -9`',
    '',
    '- At random moments of a session: '
    f'{len(found)} kills ({phase_text}) in {trials} '
    f'studies, each gone on with to its end. {same} of {trials} studies ended '
    'with the parameters, metrics and rows of an undisturbed one, bit for bit '
    '(SHA-256).',
    f'- Inside of each of the first {len(calls)} calls of fsync and rename: '
    f'{_count(disturbed)} ended bit-identical.',
  ]


def signals(folder: pathlib.Path, digest: str) -> list[str]:
  """Send SIGTERM, SIGINT and SIGHUP in every phase."""
  numbers = {'compile': 2, 'evaluation': 2, 'chunk': 3, 'save': 3, 'finish': 2}
  rows = ['| phase | sent | promised status | longest, s | bit-identical |']
  rows += ['| --- | --- | --- | --- | --- |']
  for at, count in numbers.items():
    faults = [
      Fault(at, {'at': at, 'number': n, 'signals': [sent]}, CODES[sent])
      for n in range(1 if QUICK else count)
      for sent in CODES
    ]
    found = _survive(folder, digest, faults)
    longest = max(ended.seconds_to_end for ended, _ in found)
    words = [[word for word, _ in ended.log] for ended, _ in found]
    inside = sum(some[:1] == ['signal'] for some in words)
    right = sum(
      ended.status == fault.status
      for fault, (ended, _) in zip(faults, found, strict=True)
    )
    rows.append(
      f'| {at} | {inside} | {right} of {inside} | {longest:.2f} | '
      f'{_count(found)} |'
    )
  return ['### SIGTERM, SIGINT and SIGHUP', '', *rows]


def refusals(folder: pathlib.Path, digest: str) -> list[str]:
  """Have the system refuse what is written."""
  faults = [
    Fault('', {'at': at, 'number': n, 'errno': number}, 6)
    for number in (errno.ENOSPC, errno.EIO, errno.EACCES)
    for at in ('fsync', 'replace', 'open')
    for n in ((6,) if QUICK else (4, 9))
  ]
  found = _survive(folder, digest, faults)
  assert all(ended.log for ended, _ in found)
  lines = sum(ended.stderr.count('\n') == 1 for ended, _ in found)
  right = sum(ended.status == 6 for ended, _ in found)
  gone = folder / 'gone'
  fault = {'at': 'chunk', 'number': 3, 'remove': str(gone)}
  ended = harness.run(gone, fault=fault)
  return [
    '### A system that refuses',
    '',
    f'- ENOSPC, EIO and EACCES from fsync, rename and open: {right} of '
    f'{len(found)} ended with status 6, {lines} with one line; '
    f'{_count(found)} went on bit-identical.',
    f'- The directory removed under a run: status {ended.status}.',
  ]


def damage(folder: pathlib.Path, digest: str) -> list[str]:
  """Damage a real checkpoint in every way."""
  del digest
  runs = local.expand(study_config.get_config(), study_config.get_hyper)[:3]
  (members,) = populations.split(runs)
  name = members.name
  saved = folder / 'undisturbed' / 'populations' / name / resume.CHECKPOINTS
  newest = sorted(saved.iterdir())[-1]
  whole, here = newest.read_bytes(), folder / 'damaged'
  here.mkdir()
  random_bits = np.random.default_rng(0).integers(0, 8 * len(whole), 200)
  cases = {
    'cut at 20 places': [whole[: len(whole) * k // 20] for k in range(20)],
    'one bit flipped, 200 times': [_flip(whole, int(b)) for b in random_bits],
    'empty': [b''],
    'another checkpoint in its place': [
      sorted(saved.iterdir())[0].read_bytes()
    ],
  }
  lines = []
  for case, versions in cases.items():
    detected = 0
    for data in versions:
      (here / newest.name).write_bytes(data)
      with contextlib.suppress(checkpoint.CheckpointError):
        states.load(here, members)
        continue
      detected += 1
    lines.append(f'- {case}: {detected} of {len(versions)} detected.')
  size = f'Of a checkpoint of {len(whole):,} bytes:'
  return ['### Damage', '', size, '', *lines]


def writers(folder: pathlib.Path, digest: str) -> list[str]:
  """Start several processes on one directory."""
  lines = []
  for count in (2,) if QUICK else (2, 16):
    workdir = folder / f'writers{count}'
    processes = [harness.start(workdir) for _ in range(count)]
    ended = [harness.wait(process, workdir) for process in processes]
    trained = sum(end.status == 0 for end in ended)
    refused = sum(end.status == 5 for end in ended)
    equal = harness.digest(workdir) == digest
    lines.append(
      f'- {count} processes on one directory: {trained} trained, {refused} '
      f'ended with status 5; the results are{"" if equal else " NOT"} those of '
      'one process.'
    )
  kills = range(1 if QUICK else 10)
  killed = [
    Fault('', {'at': 'chunk', 'number': n, 'signals': [9], 'host': 'a2f0'}, -9)
    for n in kills
  ]
  lines.append(
    '- Killed (`kill -9`) under another host name, as a container is: '
    f'{_count(_survive(folder, digest, killed))} went on bit-identical.'
  )
  return ['### One writer', '', *lines]


def workers(folder: pathlib.Path, digest: str) -> list[str]:
  """Kill workers that share a study, at random moments."""
  del digest
  alone = folder / 'alone'
  flags = (harness.MANY, f'--workdir={alone}')
  assert harness.fork('sweep', *flags)['status'] == 0
  whole = harness.digest(alone)
  most, randomness = (2 if QUICK else WORKERS_KILLED), random.Random(0)
  killed = same = studies = 0
  while killed < most:
    workdir = folder / f'many{studies}'
    killed += harness.kill_workers(workdir, 4, most - killed, randomness)
    studies += 1
    same += harness.digest(workdir) == whole
  return [
    '### Many workers',
    '',
    f'- 4 workers share a study of 6 populations; {killed} of them killed '
    f'(`kill -9`) at random moments, in {studies} studies, and others started: '
    f'{same} of {studies} studies ended with the parameters, metrics and rows '
    'of one process, bit for bit.',
  ]


def growth(folder: pathlib.Path, digest: str) -> list[str]:
  """Train for long and see what grows."""
  del digest
  updates = 2000 if QUICK else 10_000
  done = subprocess.run(
    [
      *(sys.executable, '-m', 'tests.faults.soak'),
      *(str(folder / 'soak'), str(updates)),
    ],
    cwd=harness.REPOSITORY,
    capture_output=True,
    text=True,
    check=True,
  )
  found = json.loads(done.stdout.splitlines()[-1])
  steps = np.diff(found['memory'])
  files = sorted(set(found['files']))
  return [
    '### Growth',
    '',
    f'{updates:,} updates, evaluated and saved every 50: resident memory '
    f'{found["memory"][0] / 2**20:,.0f} MiB after {soak.EVERY:,} and '
    f'{found["memory"][-1] / 2**20:,.0f} MiB at the end, '
    f'{statistics.mean(steps) / 2**20:.3f} MiB for each {soak.EVERY:,}; open '
    f'files {" to ".join(map(str, files))}; {len(found["compiled"])} programs '
    'compiled after the first chunk.',
  ]


def cost(folder: pathlib.Path, digest: str) -> list[str]:
  """Time the checkpoints of the quickstart."""
  del digest
  workdir = folder / 'quickstart'
  arguments = [
    *(sys.executable, '-m', 'experiments.sweep'),
    *('--config=configs/studies/quickstart.py', f'--workdir={workdir}'),
    '--config.training.save_interval=200',
  ]
  if QUICK:
    arguments.append('--config.training.updates=200')
  subprocess.run(
    arguments, cwd=harness.REPOSITORY, check=True, stdout=subprocess.DEVNULL
  )
  made = [files.read_json(path) for path in workdir.rglob('provenance.json')]
  saving = sum(entry['save_seconds'] for entry in made)
  training = sum(entry['train_seconds'] for entry in made)
  return [
    '### Cost',
    '',
    f'A checkpoint every 200 updates of the quickstart ({len(made)} '
    f'populations): {saving:.2f} of {training:.1f} s of training, '
    f'{saving / training:.1%}.',
  ]


def _survive(
  folder: pathlib.Path, digest: str, faults: Sequence[Fault]
) -> list[tuple[harness.Ended, bool]]:
  """Meet each fault in a new study, go on, and compare what is left."""

  def meet(number: int) -> tuple[harness.Ended, bool]:
    with tempfile.TemporaryDirectory(dir=folder) as place:
      workdir = pathlib.Path(place) / 'study'
      ended = harness.run(workdir, fault=faults[number].plant)
      after = harness.run(workdir, *harness.resume_flags(workdir))
      same = after.status == 0 and harness.digest(workdir) == digest
      if not same or ended.status != faults[number].status:
        print(faults[number], ended, after, file=sys.stderr)
      return ended, same

  return _side_by_side(meet, range(len(faults)))


def _side_by_side(work: Callable[[int], Any], numbers) -> list[Any]:
  with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    return list(pool.map(work, numbers))


def _count(found: Sequence[tuple[Any, bool]]) -> str:
  return f'{sum(same for _, same in found)} of {len(found)}'


def _flip(data: bytes, bit: int) -> bytes:
  changed = bytearray(data)
  changed[bit // 8] ^= 1 << bit % 8
  return bytes(changed)


if __name__ == '__main__':
  main()
