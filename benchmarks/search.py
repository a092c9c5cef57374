"""Does a search that learns find better hyper-parameters than a random one.

    python -m benchmarks.search --workdir=runs/benchmark_search

Adding at T = 100, three fields (learning rate, forget bias, clipping), TPE and
CMA-ES against random draws: each searches ten times, with seeds of its own, 200
trials each time. Writes the table and the curves of docs/searching.md: the best
loss so far after so many trials, as the geometric mean over the repetitions
with its 95 % interval by Student's t on logarithms, and the ratio to random
draws, with p by Holm over the samplers. Then halving: of the same trials, is
the winner the same, and how many updates did it take. Interrupted, it goes on;
--quick tries it small and writes nothing into the page.
"""

from collections.abc import Sequence
import pathlib
from typing import Any

from absl import app, flags
import numpy as np

from benchmarks import pages
import lstm_variants as lv
from lstm_variants import console
from lstm_variants.plots import theme
from lstm_variants.runs import directory, results
from lstm_variants.search import generations, objective, space, train
from lstm_variants.statistics import intervals, ratios
from lstm_variants.training import backend

_WORKDIR = flags.DEFINE_string(
  'workdir', 'runs/benchmark_search', 'Where the searches go.'
)
_REPETITIONS = flags.DEFINE_integer('repetitions', 10, 'Of each search.')
_TRIALS = flags.DEFINE_integer('trials', 200, 'Of each search.')
_UPDATES = flags.DEFINE_integer('updates', 1000, 'Of each trial.')
PAGE = pathlib.Path('docs/searching.md')
FIGURE = pathlib.Path('docs/figures/search.svg')
SAMPLERS = ('random', 'tpe', 'cmaes')
BATCH, FIRST_RUNG = 20, 8


def sizes() -> tuple[int, int, int]:
  """Return repetitions, trials and updates."""
  if pages.QUICK.value:
    return 2, BATCH, 8
  return _REPETITIONS.value, _TRIALS.value, _UPDATES.value


def config(repetition: int, updates: int) -> Any:
  """Return what the trials of a repetition share."""
  base = lv.default_config()
  base.update_from_flattened_dict(
    {
      'seed': repetition,
      'task.length': 10 if pages.QUICK.value else 100,
      'model.hidden_features': 4 if pages.QUICK.value else 16,
      'training.updates': updates,
      'training.evaluation_interval': max(updates // FIRST_RUNG, 1),
      'training.evaluation_batches': 1 if pages.QUICK.value else 8,
      'training.save_interval': 0,
      'training.keep_checkpoints': 1,
      'training.stop_when_solved': False,
    }
  )
  return base


def search(sampler: str, repetition: int, trials: int) -> space.Search:
  """Return a search over three fields."""
  return space.space(
    {
      'config.optimizer.learning_rate': space.log_uniform(1e-5, 1.0),
      'config.model.forget_bias': space.uniform(-4.0, 6.0),
      'config.optimizer.clip_norm': space.log_uniform(1e-2, 1e2),
    },
    sampler=sampler,
    trials=trials,
    batch=BATCH,
    seed=repetition,
  )


def losses(workdir: pathlib.Path, name: str, base: Any, what: Any) -> Any:
  """Train a search, or go on with it; return the loss of each trial in turn."""
  begun = (workdir / 'study.json').exists()
  mode = directory.Mode.RESUME if begun else directory.Mode.NEW
  with console.quiet():
    train.train(str(workdir), name, base, what, mode)
  rows = {row['id']: row for row in results.read_rows(str(workdir))}
  return np.array(
    [
      objective.values(what.objectives, [rows[run] for run in trial.runs])[0]
      for generation in generations.read_all(str(workdir), what)
      for trial in generation.trials
    ]
  )


def curves() -> dict[str, np.ndarray]:
  """Return sampler -> the best loss so far, `[repetitions, trials]`."""
  repetitions, trials, updates = sizes()
  best = {}
  for sampler in SAMPLERS:
    found = []
    for repetition in range(repetitions):
      pages.progress(f'{sampler}, repetition {repetition + 1}/{repetitions}')
      place = pathlib.Path(_WORKDIR.value) / f'{sampler}_{repetition}'
      found.append(
        losses(
          place,
          sampler,
          config(repetition, updates),
          search(sampler, repetition, trials),
        )
      )
    best[sampler] = np.minimum.accumulate(np.array(found), axis=1)
  return best


def searched(best: dict[str, np.ndarray]) -> list[str]:
  """Return the table of the best loss so far."""
  trials = next(iter(best.values())).shape[1]
  marks = [n for n in (20, 40, 60, 100, 150, 200) if n <= trials]
  to_random = {
    sampler: ratios.paired(curve[:, -1], best['random'][:, -1])
    for sampler, curve in best.items()
    if sampler != 'random'
  }
  tested = intervals.holm([ratio.p_value for ratio in to_random.values()])
  p_values = dict(zip(to_random, tested, strict=True))
  rows = []
  for sampler, curve in best.items():
    cells = [sampler]
    for mark in marks:
      bound = intervals.geometric_interval(curve[:, mark - 1])
      cells.append(f'{bound.estimate:.3g} [{bound.low:.3g}, {bound.high:.3g}]')
    against = '—'
    if sampler in to_random:
      ratio = to_random[sampler].ratio
      against = (
        f'{ratio.estimate:.2g} [{ratio.low:.2g}, {ratio.high:.2g}], '
        f'p {p_values[sampler]:.2g}'
      )
    rows.append((*cells, against))
  header = ('best loss after', *(f'{n} trials' for n in marks), 'to random')
  return pages.table(header, rows)


def drawn(best: dict[str, np.ndarray]) -> str:
  """Return the curves of the best loss so far, as SVG."""
  with theme.page(3.4) as drawing:
    axes = drawing.subplots()
    looks = theme.line_looks(len(best))
    for (sampler, curve), look in zip(best.items(), looks, strict=True):
      bounds = [intervals.geometric_interval(column) for column in curve.T]
      trials = range(1, len(bounds) + 1)
      axes.plot(trials, [b.estimate for b in bounds], label=sampler, **look)
      low, high = [b.low for b in bounds], [b.high for b in bounds]
      axes.fill_between(trials, low, high, color=look['color'], alpha=0.15)
    theme.scale_by_logarithm(axes.yaxis)
    axes.set(xlabel='trials', ylabel='best held-out loss so far')
    axes.legend()
    return theme.svg(drawing, 'search')


def halved() -> list[str]:
  """Return the lines on halving: the same trials, all of them and by rungs."""
  repetitions, trials, updates = sizes()
  batch = 8 if pages.QUICK.value else 64
  shares, same, ratio = [], 0, []
  for repetition in range(repetitions):
    pages.progress(f'halving, repetition {repetition + 1}/{repetitions}')
    base = config(repetition, updates)
    whole = search('qmc', repetition, batch)._replace(batch=batch)
    rungs = space.halving(max(updates // FIRST_RUNG, 1))
    place = pathlib.Path(_WORKDIR.value)
    every = losses(place / f'whole_{repetition}', 'whole', base, whole)
    by_rungs = place / f'halved_{repetition}'
    losses(by_rungs, 'halved', base, whole._replace(halving=rungs))
    rows = results.read_rows(str(by_rungs))
    shares.append(sum(row['updates'] for row in rows) / (batch * updates))
    best = _winner(rows, updates)
    winner = _winner(results.read_rows(str(place / f'whole_{repetition}')))
    same += best['id'] == winner['id']
    ratio.append(best['final']['loss'] / float(np.min(every)))
  bound = intervals.geometric_interval(ratio)
  return [
    f'Halving of {batch} trials took {np.mean(shares):.2f} of the updates; its '
    f'winner was that of all trials in {same} of {repetitions} repetitions, '
    f'and had {bound.estimate:.3g} times its loss.'
  ]


def _winner(rows: Sequence[Any], updates: int = 0) -> Any:
  """Return the row with the lowest loss of those that trained for so long."""
  ended = [
    row
    for row in rows
    if row['updates'] >= updates and row['final']['loss'] is not None
  ]
  return min(ended, key=lambda row: row['final']['loss'])


def page(best: dict[str, np.ndarray]) -> str:
  """Return what stands between the marks of the page."""
  repetitions, trials, updates = sizes()
  lines = [
    f'Adding at T = 100, 16 units, {updates:,} updates a trial; learning rate, '
    f'forget bias, clipping; generations of {BATCH}; {repetitions} repetitions '
    'of each search. Geometric means of the best held-out loss so far, with '
    '95 % intervals; the last column compares the repetitions in pairs after '
    f'{trials} trials, p by Holm.',
    *searched(best),
    f'![The best loss so far against trials](figures/{FIGURE.name})',
    '',
    *halved(),
  ]
  return '\n'.join(lines) + '\n'


def main(argv: Sequence[str]) -> None:
  """Search, then write; in the smoke version print."""
  if len(argv) > 1:
    raise app.UsageError(f'unexpected argument {argv[1]!r}')
  backend.use_every_core()
  best = curves()
  text, figure = page(best), drawn(best)
  if pages.QUICK.value:
    print(text)
  else:
    FIGURE.write_text(figure)
    pages.write_between_marks(PAGE, 'benchmarks.search', text)


if __name__ == '__main__':
  app.run(main)
