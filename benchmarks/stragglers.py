"""How long many workers take whose machines are slow, late, stopped, or die.

    python -m benchmarks.stragglers

Simulates a million runs on a thousand workers (`benchmarks.sharing`), with what
a lease costs on this machine, and writes the tables into docs/many-machines.md;
--quick prints small ones instead. Trains nothing.
"""

from collections.abc import Iterable, Sequence, Set
import json
import pathlib
import tempfile
import textwrap
import time
from typing import NamedTuple

from absl import app
import numpy as np

from benchmarks import pages, sharing, timing
import lstm_variants as lv
from lstm_variants.launch import shared
from lstm_variants.runs import directory, lease, results
from lstm_variants.training import population

PAGE = pathlib.Path('docs/many-machines.md')
MINUTE, HOUR = 60.0, 3600.0
# Rounds in which the cost of a lease is measured.
ROUNDS = 300
# Populations of a study that is listed.
LISTED = 40_000
SIZES = (1000, 100, 25, 10)
# Of the second table.
SIZE = 25


class Assumed(NamedTuple):
  """What is assumed, as it was measured nowhere; times in seconds.

  Attributes:
    programs: models and shapes, each with as many runs.
    spread: of the logarithm of what a run costs, from program to program.
    error: of the logarithm of what a population takes, as it is reckoned
      beforehand: it may end sooner.
    start, compile: of `sharing.Costs`.
    slow: share of the workers, at a third of the speed.
    late: share of the workers, that come within an hour.
    preempted: share of the workers; they save, once an hour in the mean, and
      are back after `back`.
    killed: share of the workers, once an hour; else the same.
    dead: share of the workers that are killed for good, while the study
      would take undisturbed workers.
    answer: that a slow file server takes, for each look, listing and claim.
  """

  programs: int = 200
  spread: float = 1.0
  error: float = 0.3
  start: float = 30.0
  compile: float = 20.0
  slow: float = 0.05
  late: float = 0.2
  preempted: float = 0.2
  killed: float = 0.1
  dead: float = 0.05
  back: float = 10 * MINUTE
  answer: float = 0.01


ASSUMED = Assumed()
KINDS = ('slow', 'late', 'preempted', 'killed', 'dead')


class Scale(NamedTuple):
  """How large a study is, and how many train it.

  Attributes:
    runs: of the study.
    workers: that train it.
    seconds: that it takes them, undisturbed.
    seeds: draws of costs and disturbances.
  """

  runs: int
  workers: int
  seconds: float
  seeds: int


FULL = Scale(1_000_000, 1000, 2 * HOUR, 3)
SMALL = Scale(4000, 10, HOUR, 1)


def measure(rounds: int) -> sharing.Costs:
  """Return what is no training; a lease costs what it does on this disk."""
  with tempfile.TemporaryDirectory() as folder:
    with directory.join_study(folder, 'costs', {}, {}, [{'seed': 0}]) as worker:
      trained = pathlib.Path(folder) / 'populations' / 'trained'
      trained.mkdir(parents=True)
      record = json.dumps({'updates_at_most': 1})
      (trained / 'provenance.json').write_text(record)

      def claim() -> None:
        with worker.claim('free'):
          pass

      def see_taken() -> None:
        results.is_finished(folder, 'taken')
        try:
          with worker.claim('taken'):
            raise AssertionError
        except lease.TakenError:
          pass

      def see_done() -> None:
        assert results.is_finished(folder, 'trained')
        results.read_population_provenance(folder, 'trained')

      def list_all() -> None:
        shared._Others(folder, worker)

      for number in range(LISTED * rounds // ROUNDS):
        (trained.parent / f'population-{number}').touch()
      with worker.claim('taken'):
        calls = {'claim': claim, 'taken': see_taken, 'done': see_done}
        calls['listing'] = list_all
        seconds = timing.interleave(calls, rounds)
  medians = {
    name: timing.summarize(each).median for name, each in seconds.items()
  }
  return sharing.Costs(
    start=ASSUMED.start,
    compile=ASSUMED.compile,
    keeps=population.RECENT.most,
    save=lv.default_config().training.save_minutes * MINUTE,
    **medians,
  )


def draw_work(scale: Scale, size: int, seed: int) -> sharing.Work:
  """Return populations of a size, which take workers the `seconds` together."""
  rng = np.random.default_rng(seed)
  programs = min(ASSUMED.programs, scale.runs // SIZES[0])
  cost = rng.lognormal(0, ASSUMED.spread, programs)
  each = scale.runs // programs
  sizes = np.full(-(-each // size), size)
  sizes[-1] = each - size * (len(sizes) - 1)
  expected = np.outer(cost, sizes).ravel()
  error = ASSUMED.error
  seconds = expected * rng.lognormal(-(error**2) / 2, error, expected.shape)
  unit = scale.seconds * scale.workers / seconds.sum()
  program = np.repeat(np.arange(programs), len(sizes))
  return sharing.Work(expected * unit, seconds * unit, program)


def draw_machines(
  scale: Scale, kinds: Set[str], seed: int
) -> list[sharing.Machine]:
  """Return the machines of the workers, disturbed in some of `KINDS`."""
  rng = np.random.default_rng(seed)
  machines = []
  for _ in range(scale.workers):
    # Drawn whether used or not: what is common to two draws is the same.
    chances = {kind: rng.random() < getattr(ASSUMED, kind) for kind in KINDS}
    moments = {kind: rng.random() for kind in KINDS}
    waits = rng.exponential(HOUR, (2, 100))
    does = {kind for kind in kinds if chances[kind]}
    comes = HOUR * moments['late'] if 'late' in does else 0.0
    stops = [
      (begin, begin + ASSUMED.back, kind == 'preempted')
      for kind, row in zip(('preempted', 'killed'), waits, strict=True)
      if kind in does
      for begin in comes + np.cumsum(row + ASSUMED.back)
    ]
    if 'dead' in does:
      dies = comes + scale.seconds * moments['dead']
      stops.append((dies, np.inf, False))
    speed = 1 / 3 if 'slow' in does else 1.0
    machines.append(sharing.Machine(speed, comes, _in_turn(stops)))
  return machines


def _in_turn(
  stops: Iterable[tuple[float, float, bool]],
) -> tuple[sharing.Stop, ...]:
  """Return the stops that find a worker that is there."""
  kept: list[sharing.Stop] = []
  for stop in map(sharing.Stop._make, sorted(stops)):
    if not kept or stop.at > kept[-1].back:
      kept.append(stop)
    elif stop.back == np.inf:  # it is not back from the one before
      kept[-1] = kept[-1]._replace(back=np.inf)
  return tuple(kept)


class Cell(NamedTuple):
  """What was simulated with several seeds.

  Attributes:
    ratios: `[seeds]` the time that it took, in units of the bound.
    outcomes: of the seeds.
    work: seconds of training of the study.
  """

  ratios: Sequence[float]
  outcomes: Sequence[sharing.Outcome]
  work: float

  def ratio(self) -> str:
    """Return the ratios as they stand in a table."""
    low, high = min(self.ratios), max(self.ratios)
    text = f'{np.mean(self.ratios):.2f}'
    if f'{low:.2f}' != f'{high:.2f}':
      text += f' ({low:.2f} – {high:.2f})'
    untrained = sum(outcome.untrained for outcome in self.outcomes)
    if untrained:
      text += f', {untrained / len(self.outcomes):.0f} untrained'
    return text

  def mean(self, name: str) -> float:
    """Return the mean of an attribute of the outcomes."""
    return float(np.mean([getattr(each, name) for each in self.outcomes]))


def simulate(
  scale: Scale,
  size: int,
  policy: sharing.Policy,
  kinds: Iterable[str],
  costs: sharing.Costs,
  wait: bool = False,
) -> Cell:
  """Simulate a study with several seeds."""
  ratios, outcomes = [], []
  for seed in range(scale.seeds):
    work = draw_work(scale, size, seed)
    machines = draw_machines(scale, frozenset(kinds), seed)
    outcome = sharing.simulate(work, machines, policy, costs, seed, wait)
    outcomes.append(outcome)
    ratios.append(outcome.end / sharing.bound(work, machines))
  return Cell(ratios, outcomes, scale.seconds * scale.workers)


def sizes_table(scale: Scale, costs: sharing.Costs) -> list[str]:
  """Return how size and policy trade off, under all disturbances."""
  header = ['runs in a population', 'populations', 'the longest takes']
  header += [policy.value for policy in sharing.Policy]
  rows = []
  for size in SIZES:
    pages.progress(f'populations of {size}')
    works = [draw_work(scale, size, seed) for seed in range(scale.seeds)]
    longest = np.mean([work.seconds.max() for work in works])
    cells = [
      simulate(scale, size, policy, KINDS, costs).ratio()
      for policy in sharing.Policy
    ]
    count = len(works[0].seconds)
    rows.append([f'{size:,}', f'{count:,}', _time(longest), *cells])
  return pages.table(header, rows)


def kinds_table(scale: Scale, costs: sharing.Costs) -> list[str]:
  """Return what each disturbance costs those who share as the project does."""
  slow = costs._replace(
    **{
      name: getattr(costs, name) + ASSUMED.answer
      for name in ('claim', 'listing', 'taken', 'done')
    }
  )
  rows = [
    ('none', (), costs, False),
    *((kind, (kind,), costs, False) for kind in KINDS),
    ('all of them', KINDS, costs, False),
    ('all, and every worker waits', KINDS, costs, True),
    ('all, and a slow file server', KINDS, slow, False),
  ]
  lines = []
  for name, kinds, paid, wait in rows:
    pages.progress(name)
    cell = simulate(scale, SIZE, sharing.Policy.LONGEST, kinds, paid, wait)
    shares = (cell.mean(each) for each in ('lost', 'begun', 'looking'))
    lines.append(
      [
        *(name, cell.ratio()),
        *(f'{100 * share / cell.work:.1f} %' for share in shares),
        f'{cell.mean("held") / HOUR:.1f}',
        f'{cell.mean("listings") / cell.mean("end"):,.0f}',
        f'{cell.mean("looks") / cell.mean("end"):,.0f}',
        f'{100 * cell.mean("busy") / max(cell.mean("looks"), 1):.0f} %',
      ]
    )
  header = (
    *('workers are disturbed by', 'time ÷ bound', 'trained again'),
    *('starting, compiling', 'looking, claiming', 'hours held by the dead'),
    *('listings a second', 'looks a second', 'of them at what another had'),
  )
  return pages.table(header, lines)


def _time(seconds: float) -> str:
  if seconds < 100 * MINUTE:
    return f'{seconds / MINUTE:.0f} min'
  return f'{seconds / HOUR:.1f} h'


def page(size: Scale, rounds: int) -> str:
  """Return what stands between the marks of the page.

  Args:
    size: of the study.
    rounds: in which the cost of a lease is measured.
  """
  each, costs = ASSUMED, measure(rounds)
  milliseconds = [
    f'{1000 * seconds:.2g}'
    for seconds in (costs.claim, costs.listing, costs.taken, costs.done)
  ]
  paragraphs = [
    f'`python -m benchmarks.stragglers` simulates {size.runs:,} runs on '
    f'{size.workers:,} workers, which take {_time(size.seconds)} if nothing is '
    f'lost. Assumed, not measured: {each.programs} models and shapes, whose '
    f'costs are log-normal (σ = {each.spread:g}); how long a population takes '
    f'is known to a factor of {np.exp(each.error):.2f}; a process starts in '
    f'{each.start:g} s and compiles a program in {each.compile:g} s. Of the '
    f'workers {_percent(each.slow)} have a third of the speed, '
    f'{_percent(each.late)} come within the first hour, '
    f'{_percent(each.preempted)} are preempted once an hour and save, '
    f'{_percent(each.killed)} are killed once an hour and do not, both are '
    f'back after {_time(each.back)}, and {_percent(each.dead)} die for good. '
    f"The project's own: a checkpoint every {_time(costs.save)}, a lease of "
    f'{lease.length():g} s, {costs.keeps} programs that a process keeps, the '
    'order of `--share`. Measured on one machine '
    f'and its disk: {milliseconds[0]} ms to claim a population and to give it '
    f'back, {milliseconds[1]} ms to list {LISTED:,} of them, '
    f'{milliseconds[2]} ms to see that another has one, {milliseconds[3]} ms '
    'to see that it is trained.',
    'Time ÷ bound: the bound is that of work as fine as sand for the same '
    f'machines, with nothing lost; the mean of {size.seeds} draws, and their '
    'range. Dealt out: each worker has an equal number of populations from the '
    'beginning, as by the numbers of an array job. Leases, the longest first: '
    '`--share`.',
    sizes_table(size, costs),
    f'`--share`, populations of {SIZE}; the shares are of the training:',
    kinds_table(size, costs),
    f'A slow file server answers {1000 * each.answer:g} ms later, each look, '
    'listing and claim.',
  ]
  lines = []
  for paragraph in paragraphs:
    if isinstance(paragraph, str):
      paragraph = [*textwrap.wrap(paragraph, 88, break_on_hyphens=False), '']
    lines += paragraph
  return '\n'.join(pages.without_double_blanks(lines))


def _percent(share: float) -> str:
  return f'{100 * share:g} %'


def main(argv: Sequence[str]) -> None:
  """Simulate, then write; in the smoke version print."""
  if len(argv) > 1:
    raise app.UsageError(f'unexpected argument {argv[1]!r}')
  started = time.process_time()
  size, rounds = (SMALL, 20) if pages.QUICK.value else (FULL, ROUNDS)
  text = page(size, rounds)
  pages.progress(f'{time.process_time() - started:.0f} s of CPU')
  if pages.QUICK.value:
    print(text)
  else:
    pages.write_between_marks(PAGE, 'benchmarks.stragglers', text)


if __name__ == '__main__':
  app.run(main)
