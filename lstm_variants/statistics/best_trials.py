"""The best trials of each model, compared with those of a baseline.

The protocol of Greff et al.: of each variant's random search the best tenth of
the trials beside those of the vanilla LSTM. Four things are otherwise here. The
paper chose trials by validation data and compared them on test data; here one
held-out set does both: it is drawn afresh and never trained on, but the best of
many look a little better than they are, of all models alike. Where a tenth are
few trials, five are taken. Log losses are compared, as losses of these tasks
lie orders of magnitude apart: their mean is that of the worst of them. And the
test knows that the trials were chosen.

The paper has Welch's test of the chosen trials. They are no sample: the best
five of twenty lie closer together than five do, and two models that are alike
differ by it in 12 to 15 of 100 tests at the level 0.05, more after Holm's
method for several. Here all trials of both models are divided between them at
random, the best of each side are chosen again, and p says how many divisions
lie as far apart. It is at most the level in that share of tests of models that
are alike, whatever the losses are distributed like (docs/statistics.md).

Reference:
  Greff et al., IEEE TNNLS 28(10), 2017, arXiv:1503.04069.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
import math
from typing import Any, NamedTuple

import numpy as np

from lstm_variants.statistics import intervals, ratios

SHARE, LEAST = 0.1, 5
ALPHA = 0.05
# Divisions: enough for a p of 1e-4, which survives 500 comparisons.
RESAMPLES = 19_999
WORSE, BETTER, EQUAL, UNKNOWN = 'worse', 'better', 'not told apart', 'too few'
# Of trials that ended after different numbers of sequences.
UNEQUAL = 'trained unequally'
BASELINE = 'baseline'


class Best(NamedTuple):
  """The best trials of a model.

  Attributes:
    model: its name.
    losses: final ones of its best trials, ascending.
    trials: all of them.
    diverged: of all of them, with those whose loss is not finite.
    params: mean number of parameters in use of the best trials.
    p_value: of `test` against the baseline; NaN where there is nothing to test.
    holm: adjusted for all models of all tasks.
    verdict: `BASELINE`, `WORSE`, `BETTER`, `EQUAL`, `UNEQUAL`, or `UNKNOWN`
      where there is nothing to test.
  """

  model: str
  losses: np.ndarray
  trials: int
  diverged: int
  params: float
  p_value: float
  holm: float
  verdict: str


class Test(NamedTuple):
  """The comparison of the best of two sides' trials.

  Attributes:
    p_value: two-sided.
    above: whether the sample's losses are the larger.
  """

  p_value: float
  above: bool


def best_trials(
  rows: Sequence[Mapping[str, Any]],
  baseline: str,
  *,
  share: float = SHARE,
  least: int = LEAST,
  alpha: float = ALPHA,
  resamples: int = RESAMPLES,
) -> dict[str, list[Best]]:
  """Compare the best trials of each model with the baseline's, on every task.

  p values are adjusted by Holm's method for the family as wide as the question:
  all models of all tasks among the rows. So give the rows of all tasks of a
  claim at once, not task by task:

    for task, bests in best_trials.best_trials(runs, 'peephole').items():
      for best in bests: best.model, best.verdict, best.holm

  Args:
    rows: of `results.read_runs`, of one task or several.
    baseline: the model to compare with; comes first.
    share: of the trials that are the best, rounded up.
    least: trials, where the share are fewer.
    alpha: of the verdicts, for all of them as a whole.
    resamples: as in `test`.

  Returns:
    Task -> its models, both in the order of the runs. Trials that diverged
    count, but are never among the best. Where trials of a model or the baseline
    were trained longer than others, their losses are not tested.
  """
  chosen, tests, unequal = {}, {}, set()
  for task in dict.fromkeys(row['task'] for row in rows):
    trials = _by_model([row for row in rows if row['task'] == task], baseline)
    chosen[task] = [_choose(own, share, least) for own in trials.values()]
    for model, own in trials.items():
      if model == baseline or baseline not in trials:
        continue
      if not _trained_equally([*own, *trials[baseline]]):
        unequal.add((task, model))
      else:
        tests[task, model] = test(
          _losses(own),
          _losses(trials[baseline]),
          share=share,
          least=least,
          resamples=resamples,
        )
  adjusted = intervals.holm([each.p_value for each in tests.values()])
  family = dict(zip(tests, adjusted, strict=True))
  return {
    task: [
      best._replace(verdict=UNEQUAL)
      if (task, best.model) in unequal
      else _judged(best, baseline, tests.get((task, best.model)), holm, alpha)
      for best in bests
      for holm in [family.get((task, best.model), math.nan)]
    ]
    for task, bests in chosen.items()
  }


def test(
  sample: Sequence[float],
  baseline: Sequence[float],
  *,
  share: float = SHARE,
  least: int = LEAST,
  resamples: int = RESAMPLES,
  seed: int = 0,
) -> Test:
  """Test whether the best trials of two models differ, chosen as they were.

    t = mean of ln loss of the sample's best - that of the baseline's best

  If both models are alike, all ways to divide the trials between them are
  equally likely. Of B random ones, in each of which the best of either side are
  chosen anew, p is twice the smaller tail,

    p = 2 min(1 + number of t at least as large, 1 + as small) / (1 + B).

  Args:
    sample: final losses of all trials of a model, NaN or inf of those that
      diverged: they are divided too, but never chosen. A loss of zero counts as
      `ratios.FLOOR`.
    baseline: the same of the model to compare with.
    share: of a side's trials that are the best, rounded up.
    least: trials, where the share are fewer.
    resamples: B.
    seed: of the random ways; equal inputs give equal results.

  Returns:
    The test; p is NaN where a side has no finite loss.

  Reference:
    Fisher, "The Design of Experiments", 1935; the 1: Phipson & Smyth,
    Statistical Applications in Genetics and Molecular Biology 9(1), 2010,
    arXiv:1603.05766.
  """
  losses = np.concatenate((sample, baseline)).astype(float)
  ours = np.arange(losses.size) < len(sample)
  finite = np.isfinite(losses)
  if not finite[ours].any() or not finite[~ours].any():
    return Test(math.nan, above=False)
  order = np.argsort(np.where(finite, losses, math.inf), kind='stable')
  logs = np.log(np.maximum(losses[order][: finite.sum()], ratios.FLOOR))
  counts = [_count(len(side), share, least) for side in (sample, baseline)]
  (observed,) = _difference(ours[order][:, np.newaxis], logs, counts)
  drawn = _difference(
    _divided(len(sample), losses.size, resamples, seed), logs, counts
  )
  above = np.count_nonzero(drawn >= observed - intervals.ROUNDING)
  below = np.count_nonzero(drawn <= observed + intervals.ROUNDING)
  p_value = min(1.0, 2 * (1 + min(above, below)) / (1 + resamples))
  return Test(p_value, above=bool(above < below))


def _divided(
  count: int, trials: int, resamples: int, seed: int
) -> Iterator[np.ndarray]:
  """Yield which ways give a trial to the sample, `[ways]`, trial by trial."""
  rng = np.random.default_rng(seed)
  rest = np.full(resamples, count)
  for after in range(trials, 0, -1):
    ours = rng.random(resamples) * after < rest
    rest = rest - ours
    yield ours


def _difference(
  divided: Iterable[np.ndarray], logs: np.ndarray, counts: Sequence[int]
) -> np.ndarray:
  """Return the difference of the means of the best of both sides, `[ways]`.

  Args:
    divided: for each trial, the best first, in which ways it is the sample's.
    logs: of the trials that are finite, ascending.
    counts: trials to choose of each side.
  """
  sums, chosen = np.zeros((2, 1)), np.zeros((2, 1), int)
  most = np.array(counts)[:, np.newaxis]
  for log, ours in zip(logs, divided, strict=False):
    best = np.stack((ours, ~ours)) & (chosen < most)
    sums, chosen = sums + log * best, chosen + best
    if np.all(chosen == most):
      break
  # A side whose trials all diverged is as bad as the worst of the others.
  means = np.where(chosen > 0, sums / np.maximum(chosen, 1), logs[-1])
  return means[0] - means[1]


def _by_model(
  rows: Sequence[Mapping[str, Any]], baseline: str
) -> dict[str, list[Mapping[str, Any]]]:
  """Return model -> its trials, the baseline first."""
  trials: dict[str, list[Mapping[str, Any]]] = {}
  for row in sorted(rows, key=lambda row: row['model'] != baseline):
    trials.setdefault(row['model'], []).append(row)
  return trials


def _trained_equally(rows: Sequence[Mapping[str, Any]]) -> bool:
  whole = (row for row in rows if row['status'] != 'diverged')
  return len({row['sequences'] for row in whole}) < 2


def _losses(rows: Sequence[Mapping[str, Any]]) -> list[float]:
  """Return final losses, inf of the trials that have none."""
  losses = []
  for row in rows:
    loss = row['final'].get('loss')
    if row['status'] == 'diverged' or loss is None or not math.isfinite(loss):
      loss = math.inf
    losses.append(loss)
  return losses


def _count(trials: int, share: float, least: int) -> int:
  # Of 30 trials a tenth are 3, though 0.1 * 30 is a little more.
  return max(math.ceil(share * trials - 1e-9), least)


def _choose(
  rows: Sequence[Mapping[str, Any]], share: float, least: int
) -> Best:
  whole = sorted(
    (loss, row['params_in_use'])
    for loss, row in zip(_losses(rows), rows, strict=True)
    if math.isfinite(loss)
  )
  best = np.array(whole[: _count(len(rows), share, least)], float)
  best = best.reshape(-1, 2)
  return Best(
    model=rows[0]['model'],
    losses=best[:, 0],
    trials=len(rows),
    diverged=len(rows) - len(whole),
    params=float(best[:, 1].mean()) if len(best) else math.nan,
    p_value=math.nan,
    holm=math.nan,
    verdict=UNKNOWN,
  )


def _judged(
  best: Best, baseline: str, of: Test | None, holm: float, alpha: float
) -> Best:
  if best.model == baseline:
    return best._replace(verdict=BASELINE)
  if of is None or math.isnan(holm):
    return best
  verdict = EQUAL
  if holm < alpha:
    verdict = WORSE if of.above else BETTER
  return best._replace(p_value=of.p_value, holm=holm, verdict=verdict)
