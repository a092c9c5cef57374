"""Greff et al.'s conclusions, asked of our search on long lags."""

from collections.abc import Callable, Sequence

from lstm_variants.claims import claim
from lstm_variants.statistics import best_trials

V = 'peephole'


def _verdicts(runs: Sequence[claim.Run]) -> dict[tuple[str, str], str]:
  """Return (task, variant) -> what its best trials are beside V's."""
  verdicts = {}
  for task in dict.fromkeys(run['task'] for run in runs):
    own = [run for run in runs if run['task'] == task]
    for best in best_trials.best_trials(own, V):
      if best.model != V:
        verdicts[task, best.model] = best.verdict
  return verdicts


def never(verdict: str, *variants: str) -> claim.Question:
  """Ask whether no variant is, say, better than V on any task."""
  return _ask(verdict, variants, lambda hits, of: not hits)


def always(verdict: str, *variants: str) -> claim.Question:
  """Ask whether each variant is, say, worse than V on every task."""
  return _ask(verdict, variants, lambda hits, of: len(hits) == of)


def _ask(
  verdict: str,
  variants: Sequence[str],
  holds: Callable[[Sequence[str], int], bool],
) -> claim.Question:
  def ask(runs: Sequence[claim.Run]) -> claim.Finding:
    asked = {
      key: answer
      for key, answer in _verdicts(runs).items()
      if not variants or key[1] in variants
    }
    hits = [
      f'{variant} on {task}'
      for (task, variant), answer in asked.items()
      if answer == verdict
    ]
    asks = f'{", ".join(variants) or "any variant"} {verdict} than V'
    ours = f'{asks}: {", ".join(hits) or "none"} ({len(hits)}/{len(asked)})'
    return claim.Finding(ours, holds(hits, len(asked)))

  return ask


CLAIMS = (
  claim.Claim(
    name='greff17_variants',
    says='no variant beats the LSTM with peepholes; the forget gate and the '
    'output activation are its most critical parts',
    published='none significantly better on 3 data sets; NFG and NOAF '
    'significantly worse on all',
    source='Greff et al. 2017, abstract; by data set as quoted by others',
    config='studies/odyssey',
    minutes=15.0,
    questions=[
      never(best_trials.BETTER),
      always(best_trials.WORSE, 'nfg'),
      always(best_trials.WORSE, 'noaf'),
      never(best_trials.WORSE, 'cifg', 'np'),
    ],
    otherwise='adding, copy and temporal order in place of speech, handwriting '
    'and music; 20 trials in place of 200; the best five in place of a tenth, '
    'on the data that chose them; tests of log loss, after Holm; batches of '
    '32, clipped gradients',
  ),
)
