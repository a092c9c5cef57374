"""The best trials of each model, compared with those of a baseline.

The protocol of Greff et al.: of each variant's random search the best tenth of
the trials, and Welch's two-sided test of their mean against the vanilla LSTM's.
Four things are otherwise here. The paper chose trials by validation data and
compared them on test data; here one held-out set does both: it is drawn afresh
and never trained on, but the best of many look a little better than they are,
of all models alike. Where a tenth are few trials, five are taken: two against
two tell nothing. Log losses are tested, as losses of these tasks lie orders
of magnitude apart: their mean is that of the worst of them, and five losses of
zero would not differ from it. And p values are adjusted by Holm's method.

Chosen trials are no random sample, so the test is a description with a
threshold, in the paper too.

Reference:
  Greff et al., IEEE TNNLS 28(10), 2017, arXiv:1503.04069.
"""

from collections.abc import Mapping, Sequence
import math
from typing import Any, NamedTuple

import numpy as np

from lstm_variants.statistics import intervals

SHARE, LEAST = 0.1, 5
ALPHA = 0.05
WORSE, BETTER, EQUAL, UNKNOWN = 'worse', 'better', 'not told apart', 'too few'
BASELINE = 'baseline'


class Best(NamedTuple):
  """The best trials of a model.

  Attributes:
    model: its name.
    losses: final ones of its best trials, ascending.
    trials: all of them.
    diverged: of all of them, with those whose loss is not finite.
    params: mean number of parameters in use of the best trials.
    welch: p value of the mean log loss against the baseline's; NaN where
      there is none.
    holm: adjusted for all models of the task.
    verdict: `BASELINE`, `WORSE`, `BETTER`, `EQUAL`, or `UNKNOWN` where there is
      nothing to test.
  """

  model: str
  losses: np.ndarray
  trials: int
  diverged: int
  params: float
  welch: float
  holm: float
  verdict: str


def best_trials(
  rows: Sequence[Mapping[str, Any]],
  baseline: str,
  *,
  share: float = SHARE,
  least: int = LEAST,
  alpha: float = ALPHA,
) -> list[Best]:
  """Compare the best trials of each model with the baseline's.

  Args:
    rows: of `results.read_runs`, of one task.
    baseline: the model to compare with; comes first.
    share: of the trials that are the best, rounded up.
    least: trials, where the share are fewer.
    alpha: of the verdicts, for the task as a whole.

  Returns:
    In the order of the runs. Trials that diverged count, but are never among
    the best.
  """
  models = dict.fromkeys(row['model'] for row in rows)
  ordered = sorted(models, key=lambda model: model != baseline)
  chosen = [
    _choose([r for r in rows if r['model'] == model], share, least)
    for model in ordered
  ]
  against = [_log(best.losses) for best in chosen if best.model == baseline]
  p_values = [
    math.nan
    if best.model == baseline or not against
    else intervals.welch(_log(best.losses), against[0])
    for best in chosen
  ]
  adjusted = intervals.holm(p_values)
  return [
    best._replace(
      welch=p_value,
      holm=holm,
      verdict=_verdict(best, baseline, against, holm, alpha),
    )
    for best, p_value, holm in zip(chosen, p_values, adjusted, strict=True)
  ]


def _choose(
  rows: Sequence[Mapping[str, Any]], share: float, least: int
) -> Best:
  whole = []
  for row in rows:
    loss = row['final'].get('loss')
    finite = loss is not None and math.isfinite(loss)
    if finite and row['status'] != 'diverged':
      whole.append((loss, row['params_in_use']))
  whole.sort()
  # Of 30 trials a tenth are 3, though 0.1 * 30 is a little more.
  count = max(math.ceil(share * len(rows) - 1e-9), least)
  best = np.array(whole[:count], float).reshape(-1, 2)
  return Best(
    model=rows[0]['model'],
    losses=best[:, 0],
    trials=len(rows),
    diverged=len(rows) - len(whole),
    params=float(best[:, 1].mean()) if len(best) else math.nan,
    welch=math.nan,
    holm=math.nan,
    verdict='',
  )


def _verdict(
  best: Best,
  baseline: str,
  against: Sequence[np.ndarray],
  holm: float,
  alpha: float,
) -> str:
  if best.model == baseline:
    return BASELINE
  if math.isnan(holm):
    return UNKNOWN
  if holm >= alpha:
    return EQUAL
  return WORSE if _log(best.losses).mean() > against[0].mean() else BETTER


def _log(losses: np.ndarray) -> np.ndarray:
  # A loss of zero is as small as it can be told.
  return np.log(np.maximum(losses, np.finfo(np.float32).tiny))
