"""What a random search shows: best trials, and which hyper-parameter mattered.

The protocol and the figures of Greff et al., IEEE TNNLS 28(10), 2017,
arXiv:1503.04069: LSTM: A Search Space Odyssey.
"""

from collections.abc import Iterator, Mapping, Sequence
import math
from typing import Any, NamedTuple

import numpy as np

from lstm_variants import console
from lstm_variants.evidence import gallery, subjects
from lstm_variants.evidence.importance import (
  captions,
  figures,
  measure,
  search_space,
)
from lstm_variants.statistics import best_trials

# Numeric hyper-parameters that must have been searched.
LEAST_AXES = 2
POOLED = 'all models'
# Model -> what the paper found beside V on speech, handwriting and music.
PAPER: Mapping[str, str] = {
  'nfg': 'worse on all three',
  'noaf': 'worse on all three',
  'nig': 'worse on two of three',
  'nog': 'worse on two of three',
  'niaf': 'worse on two of three',
  'np': 'no significant difference',
  'cifg': 'no significant difference',
  'fgr': 'not better',
}
V = 'peephole'
_BEST_COLUMNS = (
  'model',
  'trials',
  'diverged',
  'best',
  'median_loss',
  'mean_loss',
  'params',
  'p',
  'holm_p',
  'verdict',
  'paper',
  'agrees',
)
_MARGINAL_COLUMNS = (
  'trials_of',
  'hyperparameter',
  'value',
  'loss',
  'low',
  'high',
)
_SHARE_COLUMNS = (
  'trials_of',
  'trials',
  'diverged',
  'hyperparameter',
  'share',
  'floor',
  'ped_anova',
  'fit',
)


class _Search(NamedTuple):
  """The random search of one task."""

  task: str
  rows: Sequence[Mapping[str, Any]]
  axes: Sequence[search_space.Axis]
  memoryless: float | None


def draw(study: subjects.Study, baseline: str) -> Iterator[gallery.Drawing]:
  """Draw best trials, marginal losses and shares of each task.

  Nothing is drawn of a task where fewer than two numeric hyper-parameters were
  searched (`search_space.axes`), or trials are too few.

  Args:
    study: whose finished runs are looked at; also those that diverged.
    baseline: the model that the others are compared with.
  """
  wanted = {(subject.task, subject.model) for subject in study.subjects}
  searches = []
  for task in dict.fromkeys(subject.task for subject in study.subjects):
    rows = [
      row
      for row in study.rows
      if row['task'] == task and (task, row['model']) in wanted
    ]
    axes = search_space.axes(rows)
    if len(axes) >= LEAST_AXES:
      levels = study.tasks.get(task, {}).get('baselines', {})
      searches.append(_Search(task, rows, axes, levels.get('loss')))
  # Of all tasks at once, as all of them are tested.
  bests = best_trials.best_trials(
    [row for search in searches for row in search.rows], baseline
  )
  for search in searches:
    yield _draw_best(search, bests[search.task], baseline)
    try:
      yield from _draw_importance(search, baseline)
    except measure.ImportanceError as error:
      console.warn(f'{search.task}: importance left out: {error}')


def _draw_best(
  search: _Search, bests: Sequence[best_trials.Best], baseline: str
) -> gallery.Drawing:
  return gallery.Drawing(
    kind='importance',
    task=search.task,
    part='best',
    heading='The best trials of each model',
    caption=captions.BEST.format(least=best_trials.LEAST, baseline=baseline),
    figure=figures.draw_best(search.task, {search.task: bests}),
    columns=_BEST_COLUMNS,
    rows=[_best_row(best, baseline) for best in bests],
  )


def _best_row(best: best_trials.Best, baseline: str) -> tuple[Any, ...]:
  paper = PAPER.get(best.model, '') if baseline == V else ''
  empty = not len(best.losses)
  return (
    best.model,
    best.trials,
    best.diverged,
    len(best.losses),
    math.nan if empty else float(np.median(best.losses)),
    math.nan if empty else float(np.mean(best.losses)),
    best.params,
    best.p_value,
    best.holm,
    best.verdict,
    paper,
    agrees(paper, best.verdict) if paper else '',
  )


def agrees(paper: str, verdict: str) -> str:
  """Tell whether a verdict is what the paper's was.

  Args:
    paper: a value of `PAPER`.
    verdict: of `best_trials.Best`.

  Returns:
    'yes'; 'in part', of what the paper saw on some data sets alone; 'not seen',
    a difference that these trials do not show; 'no'; 'unknown'.
  """
  if verdict in (best_trials.UNKNOWN, best_trials.UNEQUAL):
    return 'unknown'
  if verdict == best_trials.BETTER:
    return 'no'
  if 'two' in paper:
    return 'in part'
  if 'worse' in paper:
    return 'yes' if verdict == best_trials.WORSE else 'not seen'
  if verdict == best_trials.EQUAL or paper == 'not better':
    return 'yes'
  return 'no'


def _draw_importance(
  search: _Search, baseline: str
) -> Iterator[gallery.Drawing]:
  models = list(dict.fromkeys(row['model'] for row in search.rows))
  models.sort(key=lambda model: model != baseline)
  axes = list(search.axes)
  if len(models) > 1:
    axes.append(search_space.model_axis(search.rows))
  pooled = measure.gather(search.rows, axes)
  bars = {POOLED: measure.shares(pooled)}
  curves = {POOLED: measure.marginals(pooled)}
  for model in models if len(models) > 1 else ():
    try:
      trials = measure.gather(
        [row for row in search.rows if row['model'] == model], search.axes
      )
      bars[model] = measure.shares(trials)
      if model == baseline:
        curves[model] = measure.marginals(trials)
    except measure.ImportanceError as error:
      console.warn(f'{search.task}, {model}: left out: {error}')
  yield _draw_marginals(search, baseline, curves, bars[POOLED])
  yield _draw_shares(search, bars)


def _draw_marginals(
  search: _Search,
  baseline: str,
  curves: Mapping[str, Sequence[measure.Marginal]],
  shares: measure.Shares,
) -> gallery.Drawing:
  alone = (baseline, curves[baseline]) if baseline in curves else None
  rows = [
    (name, marginal.axis.label, level, *losses)
    for name, marginals in curves.items()
    for marginal in marginals
    for level, *losses in zip(
      marginal.axis.levels or marginal.values.tolist(),
      marginal.loss.tolist(),
      marginal.low.tolist(),
      marginal.high.tolist(),
      strict=True,
    )
  ]
  return gallery.Drawing(
    kind='importance',
    task=search.task,
    part='marginals',
    heading='What each hyper-parameter does to the loss',
    caption=captions.MARGINALS.format(fit=max(0.0, shares.fit)),
    figure=figures.draw_marginals(
      search.task,
      curves[POOLED],
      shares,
      other=alone,
      seconds=_seconds(search),
      memoryless=search.memoryless,
    ),
    columns=_MARGINAL_COLUMNS,
    rows=rows,
  )


def _seconds(search: _Search) -> tuple[str, Mapping[float, float]] | None:
  """Return width -> mean seconds of a run; other fields do not change them.

  Runs of one program share their time, and a program is of one width.
  """
  for axis in search.axes:
    if axis.name == 'model.hidden_features':
      times: dict[float, list[float]] = {}
      for row in search.rows:
        width = float(row['config']['model']['hidden_features'])
        if row['seconds_per_update'] is not None:
          times.setdefault(width, []).append(
            row['seconds_per_update'] * row['updates']
          )
      means = {width: float(np.mean(of)) for width, of in times.items()}
      return (axis.label, means) if means else None
  return None


def _draw_shares(
  search: _Search, bars: Mapping[str, measure.Shares]
) -> gallery.Drawing:
  rows = []
  for name, bar in bars.items():
    facts = name, bar.trials, bar.diverged
    for label, share, second in zip(
      bar.labels, bar.alone.tolist(), bar.second.tolist(), strict=True
    ):
      rows.append((*facts, label, share, bar.floor, second, bar.fit))
    rows.append((*facts, 'rest', bar.rest, math.nan, math.nan, bar.fit))
  return gallery.Drawing(
    kind='importance',
    task=search.task,
    part='shares',
    heading='Which hyper-parameter mattered',
    caption=captions.SHARES,
    figure=figures.draw_shares(search.task, bars),
    columns=_SHARE_COLUMNS,
    rows=rows,
  )
