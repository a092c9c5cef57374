"""Seconds until the adding problem of 1997 is solved under its own rule.

    python -m benchmarks.time_to_solve --seeds=3

T = 100, the sizes of configs/studies/adding_hs97.py with chrono
initialisation. Weights, batches, optimizer and rule are the same for all.
"""

from collections.abc import Callable, Mapping
import statistics
import time
from typing import Any, NamedTuple

from absl import flags
import jax
import numpy as np

from benchmarks import flax_training, networks, pages, timing, torch_training
from benchmarks.flax_training import Trainer
from configs.studies import adding_hs97
from lstm_variants.config import settings as settings_lib
from lstm_variants.training import population

_SEEDS = flags.DEFINE_integer('seeds', 3, 'Runs of each.', lower_bound=1)
_MAX_UPDATES = flags.DEFINE_integer(
  'max_updates', 8000, 'Updates after which a run is unsolved.', lower_bound=1
)


class Solved(NamedTuple):
  """How one run went.

  Attributes:
    seconds: training until the end of the chunk that solved it.
    compile_seconds: before that; 0 for torch.
    sequences: trained on until the rule was met, None if unsolved.
    updates: made in all.
  """

  seconds: float
  compile_seconds: float
  sequences: int | None
  updates: int


Results = Mapping[str, list[Solved]]


def make_run(seed: int, quick: bool) -> settings_lib.Run:
  """Return a run of the study; its held-out set, which no rule reads, is small.

  The smoke version is of T = 20 and has the rule of 1997 all the same.
  """
  config: Any = adding_hs97.get_config()
  config.seed = seed
  if quick:
    config.task.length = 20
    config.training.evaluation_interval = 10
    config.model.recurrent_init = 'uniform'  # quicker to compile
  config.model.chrono_t_max = config.task.length * 1.1
  config.training.evaluation_batches = 1
  return settings_lib.from_config(config)


def compile_ours(
  settings: settings_lib.Settings, hyperparams: settings_lib.Hyperparams
) -> Trainer:
  """Compile a population of one; compiling includes drawing its weights."""
  compiled = population.compile_population(settings, [hyperparams])
  return Trainer(
    compiled.state,
    lambda state, updates: compiled.advance(state, updates)[0],
    compiled.compile_seconds,
  )


BUILDERS: dict[str, Callable[[Any, Any], Trainer]] = {
  networks.OURS: compile_ours,
  'flax nnx': flax_training.compile_run,
  'torch': torch_training.build_run,
}


def solve(trainer: Trainer, run: settings_lib.Run, max_updates: int) -> Solved:
  """Train by chunks of `evaluation_interval` until solved, or the limit."""
  settings, state = run.settings, jax.block_until_ready(trainer.state)
  updates, solved_at = 0, -1
  started = time.perf_counter()
  while updates < max_updates and solved_at < 0:
    chunk = min(settings.evaluation_interval, max_updates - updates)
    state = trainer.advance(state, chunk)
    solved_at = int(np.ravel(state.solved_at)[0])
    updates += chunk
  return Solved(
    time.perf_counter() - started,
    trainer.compile_seconds,
    solved_at * settings.batch_size if solved_at >= 0 else None,
    updates,
  )


def measure(
  seeds: int, max_updates: int, quick: bool
) -> tuple[dict[str, list[Solved]], dict[str, str]]:
  """Train every seed with every library in turn.

  Returns:
    The results by contestant, and why each of the others is skipped.
  """
  results: dict[str, list[Solved]] = {name: [] for name in BUILDERS}
  skipped: dict[str, str] = {}
  for seed in range(seeds):
    run = make_run(seed, quick)
    for name, build in BUILDERS.items():
      pages.progress(f'seed {seed}, {name}')
      try:
        trainer = build(run.settings, run.hyperparams)
      except ImportError as error:
        skipped[name] = str(error)
        continue
      results[name].append(solve(trainer, run, max_updates))
  return {name: done for name, done in results.items() if done}, skipped


def runs_table(results: Results) -> list[str]:
  """Return the table of every run."""
  rows = []
  for name, runs in results.items():
    for seed, run in enumerate(runs):
      rows.append(
        (
          *(name, str(seed)),
          f'unsolved after {run.updates:,} updates'
          if run.sequences is None
          else f'{run.sequences:,}',
          timing.number(run.seconds),
          timing.number(run.compile_seconds),
          timing.number(run.seconds + run.compile_seconds),
          timing.number(run.seconds / run.updates / timing.MILLI),
        )
      )
  header = 'contestant', 'seed', 'sequences to success', 'training s'
  return pages.table((*header, 'compiling s', 'both s', 'ms per update'), rows)


def ratios_table(results: Results) -> list[str]:
  """Return medians over the seeds, over those of ours, where all are solved."""
  medians = {
    name: (
      statistics.median(run.seconds for run in runs),
      statistics.median(run.seconds + run.compile_seconds for run in runs),
      statistics.median(run.seconds / run.updates for run in runs),
    )
    for name, runs in results.items()
    if all(run.sequences is not None for run in runs)
  }
  unsolved = [name for name in results if name not in medians]
  lines = [f'- left out: {name} (unsolved seeds)' for name in unsolved]
  if networks.OURS not in medians:
    return lines
  header = 'contestant', 'training ÷ ours', 'with compiling ÷ ours'
  rows = (
    (
      name,
      *(
        timing.number(theirs / ours)
        for theirs, ours in zip(values, medians[networks.OURS], strict=True)
      ),
    )
    for name, values in medians.items()
  )
  return [*pages.table((*header, 'per update ÷ ours'), rows), *lines]


def page() -> list[str]:
  """Return the lines of the page."""
  seeds = 1 if pages.QUICK.value else _SEEDS.value
  limit = 20 if pages.QUICK.value else _MAX_UPDATES.value
  results, skipped = measure(seeds, limit, pages.QUICK.value)
  settings = make_run(0, pages.QUICK.value).settings
  return [
    '## Time to solve the adding problem of 1997',
    '',
    f'T = {settings.task.length}, {settings.hidden_features} units, batch '
    f'{settings.batch_size}, Adam; success ({settings.task.success}) is looked '
    f'for every {settings.evaluation_interval} updates.',
    *runs_table(results),
    *pages.skipped_lines(skipped),
    '',
    'Medians over the seeds, over those of ours:',
    '',
    *ratios_table(results),
  ]


if __name__ == '__main__':
  pages.run('time_to_solve', page)
