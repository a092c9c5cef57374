"""How long large studies take to be expanded, compared and read.

    python -m benchmarks.sizes --runs=10000,100000

The run directories are those of studies that were trained, by the same code:
their configs are expanded and split into populations, and written by the
writer of training. The losses alone are drawn, as nothing is trained.

    grid     variants × learning rates × seeds: few rows of many runs
    search   a random search over the learning rate alone: a row a variant
"""

from collections.abc import Callable, Iterator
import contextlib
import pathlib
import subprocess
import sys
import tempfile
import time
from typing import Any, NamedTuple

from absl import flags
import numpy as np

from benchmarks import pages, timing
import lstm_variants as lv
from lstm_variants.config import populations
from lstm_variants.launch import local
from lstm_variants.runs import directory, provenance
from lstm_variants.runs import writer as writer_lib

_RUNS = flags.DEFINE_list('runs', ['10000', '100000'], 'Runs of a study.')
_EVALUATIONS = flags.DEFINE_integer('evaluations', 10, 'Of each run.')
_VARIANTS = ('vanilla', 'peephole', 'gru', 'coupled')
_RATES = (0.01, 0.003, 0.001)


class Measured(NamedTuple):
  """What a program took.

  Attributes:
    seconds: from its start to its end.
    cpu_seconds: of all its threads, in it and in the system.
    bytes: resident at its peak.
  """

  seconds: float
  cpu_seconds: float
  bytes: int


def grid(runs: int) -> Callable[[Any], list[dict[str, Any]]]:
  """Return variants × learning rates × as many seeds as make so many runs."""
  seeds = max(runs // (len(_VARIANTS) * len(_RATES)), 1)

  def get_hyper(hyper: Any) -> list[dict[str, Any]]:
    return hyper.product(
      [
        hyper.sweep('config.model.variant', _VARIANTS),
        hyper.sweep('config.optimizer.learning_rate', _RATES),
        hyper.sweep('config.seed', range(seeds)),
      ]
    )

  return get_hyper


def search(runs: int) -> Callable[[Any], list[dict[str, Any]]]:
  """Return variants × a learning rate drawn for each of so many runs."""
  drawn = 10 ** np.random.default_rng(0).uniform(-4, -1, runs)

  def get_hyper(hyper: Any) -> list[dict[str, Any]]:
    return [
      {
        'config.model.variant': _VARIANTS[number % len(_VARIANTS)],
        'config.optimizer.learning_rate': float(rate),
        'config.seed': number,
      }
      for number, rate in enumerate(drawn)
    ]

  return get_hyper


STUDIES = {'grid': grid, 'search': search}


def write(
  workdir: str, get_hyper: Callable[[Any], Any], evaluations: int
) -> tuple[int, float]:
  """Write the run directory of a study as if it had been trained.

  Args:
    workdir: is made.
    get_hyper: the grid.
    evaluations: of each run.

  Returns:
    The number of its runs, and how many seconds of CPU it took to expand them.
  """
  config = lv.default_config()
  started = time.process_time()
  runs = local.expand(config, get_hyper)
  seconds = time.process_time() - started
  members = populations.split(runs)
  tasks = {
    member.settings.task_label: local.describe_task(member.settings)
    for member in members
  }
  configs = [run.config for run in runs]
  with directory.open_study(workdir, 'sizes', config.to_dict(), tasks, configs):
    for member in members:
      with writer_lib.PopulationWriter(workdir, member.name) as writer:
        writer.start()
        _fill(writer, member, evaluations)
  return len(runs), seconds


def _fill(
  writer: writer_lib.PopulationWriter,
  member: populations.Population,
  evaluations: int,
) -> None:
  """Write the rows of one population, of losses that fall by chance."""
  settings = member.settings
  randomness = np.random.default_rng(len(member.runs))
  last = randomness.lognormal(-4, 1, len(member.runs))
  interval = settings.updates // evaluations
  for number in range(1, evaluations + 1):
    sequences = number * interval * settings.sequences_per_update
    losses = last * 2.0 ** (evaluations - number)
    writer.append_metrics(
      {
        'run': name,
        'update': number * interval,
        'sequences': sequences,
        'train_loss': loss,
        'grad_norm': 1.0,
        'loss': loss,
      }
      for name, loss in zip(member.run_names, losses, strict=True)
    )
  sequences = settings.updates * settings.sequences_per_update
  writer.finish(
    [
      {
        'id': name,
        'population': member.name,
        'index': index,
        'task': settings.task_label,
        'model': run.model,
        'config': run.config,
        'status': 'solved' if loss < 0.01 else 'unsolved',
        'sequences_to_success': sequences // 2 if loss < 0.01 else None,
        'sequences': sequences,
        'updates': settings.updates,
        'final': {'loss': float(loss)},
        'params_in_use': 4480,
        'params': 4480,
        'seconds_per_update': 0.001,
      }
      for index, (name, run, loss) in enumerate(
        zip(member.run_names, member.runs, last, strict=True)
      )
    ],
    {},
    {
      **provenance.describe(),
      'devices': ['cpu'],
      'compile_seconds': 1.0,
      'train_seconds': 10.0,
    },
  )


def measure(*arguments: str) -> Measured:
  """Run a command of ours in a process of its own.

  Raises:
    CalledProcessError: it fails.
  """
  before = timing.processor_seconds()
  started = time.monotonic()
  program = [sys.executable, '-c', _PEAK, *arguments]
  done = subprocess.run(program, check=True, capture_output=True, text=True)
  seconds = time.monotonic() - started
  cpu = timing.processor_seconds() - before
  return Measured(seconds, cpu, 1024 * int(done.stderr.split()[-1]))


# A command, and at its end the most memory that it had, in KiB. `getrusage`
# would count what its parent had when it was forked.
_PEAK = """
import atexit, sys
from lstm_variants import __main__ as program
def tell():
  with open('/proc/self/status') as file:
    (line,) = (line for line in file if line.startswith('VmHWM:'))
  print(line.split()[1], file=sys.stderr)
atexit.register(tell)
program.main()
"""


@contextlib.contextmanager
def studies(runs: int) -> Iterator[Iterator[tuple[str, str, int, float]]]:
  """Give a directory of each kind of study: kind, path, runs, seconds."""
  with tempfile.TemporaryDirectory() as folder:

    def each() -> Iterator[tuple[str, str, int, float]]:
      for kind, make in STUDIES.items():
        pages.progress(f'{kind}: {runs:,} runs')
        path = str(pathlib.Path(folder) / kind)
        number, seconds = write(path, make(runs), _EVALUATIONS.value)
        yield kind, path, number, seconds

    yield each()


def page() -> list[str]:
  """Return the lines of the page, from the heading on."""
  wanted = [120] if pages.QUICK.value else [int(runs) for runs in _RUNS.value]
  header = ('study', 'runs', 'size, MB', 'expand, ms a run', 'compare, s')
  rows = []
  for runs in wanted:
    with studies(runs) as made:
      for kind, path, number, seconds in made:
        size = sum(
          file.stat().st_size for file in pathlib.Path(path).rglob('*')
        )
        taken = measure('compare', f'--workdir={path}')
        rows.append(
          (
            *(kind, f'{number:,}', f'{size / 1e6:,.0f}'),
            f'{1e3 * seconds / number:.2f}',
            f'{taken.seconds:.1f}',
            f'{taken.cpu_seconds:.1f}',
            f'{taken.bytes / 1e6:,.0f}',
          )
        )
        pages.progress(' '.join(rows[-1]))
  lines = [
    '## Large studies',
    '',
    f'Run directories with {_EVALUATIONS.value} evaluations of each run, as '
    'training writes them. `compare` is a process of its own, from its start '
    'to its end; a search has its learning rate drawn for every run.',
  ]
  header = (*header, 'of CPU, s', 'peak memory, MB')
  return [*lines, *pages.table(header, rows)]


if __name__ == '__main__':
  pages.run('sizes', page)
