"""Greff et al.'s conclusions, asked of our search on long lags."""

from collections.abc import Callable, Sequence

from lstm_variants.claims import claim, questions
from lstm_variants.statistics import best_trials

V = 'peephole'
_OPPOSITE = {
  best_trials.BETTER: best_trials.WORSE,
  best_trials.WORSE: best_trials.BETTER,
}


def never(verdict: str, *variants: str) -> claim.Question:
  """Ask whether no variant is, say, better than V on any task.

  No if one is. That none is told apart from V does not show that none is
  better: the answer is undecided, unless all are shown to be the opposite.
  """

  def answer(verdicts: Sequence[str]) -> claim.Answer:
    if verdict in verdicts:
      return claim.Answer.NO
    if set(verdicts) == {_OPPOSITE[verdict]}:
      return claim.Answer.YES
    return claim.Answer.UNDECIDED

  return _ask(verdict, variants, answer)


def always(verdict: str, *variants: str) -> claim.Question:
  """Ask whether each variant is, say, worse than V on every task.

  Yes if all are, no if one is shown to be the opposite, else undecided.
  """

  def answer(verdicts: Sequence[str]) -> claim.Answer:
    if set(verdicts) == {verdict}:
      return claim.Answer.YES
    opposite = _OPPOSITE[verdict] in verdicts
    return claim.Answer.NO if opposite else claim.Answer.UNDECIDED

  return _ask(verdict, variants, answer)


def _ask(
  verdict: str,
  variants: Sequence[str],
  answer: Callable[[Sequence[str]], claim.Answer],
) -> claim.Question:
  def ask(study: claim.Study) -> claim.Finding:
    asks = f'{", ".join(variants) or "any variant"} {verdict} than V'
    if why := questions.silence(study.runs):
      return claim.Finding('', claim.Answer.NOT_TESTED, f'{asks}: {why}')
    asked = {
      key: each
      for key, each in _verdicts(study.runs).items()
      if not variants or key[1] in variants
    }
    if not asked or best_trials.UNKNOWN in asked.values():
      why = f'{asks}: too few trials to compare'
      return claim.Finding('', claim.Answer.NOT_TESTED, why)
    if best_trials.UNEQUAL in asked.values():
      why = f'{asks}: trials were not trained equally long'
      return claim.Finding('', claim.Answer.NOT_TESTED, why)
    hits = [
      f'{variant} on {task}'
      for (task, variant), each in asked.items()
      if each == verdict
    ]
    ours = f'{asks}: {", ".join(hits) or "none"} ({len(hits)}/{len(asked)})'
    said = answer(list(asked.values()))
    undecided = said is claim.Answer.UNDECIDED
    finding = claim.Finding(ours, said, 'not told apart' if undecided else '')
    return questions.unless_short(finding, study.training, study.runs)

  return ask


def _verdicts(runs: Sequence[claim.Run]) -> dict[tuple[str, str], str]:
  """Return (task, variant) -> what its best trials are beside V's."""
  return {
    (task, best.model): best.verdict
    for task, bests in best_trials.best_trials(runs, V).items()
    for best in bests
    if best.model != V
  }


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
    training=claim.Training(
      64_000, 'ours: theirs ended by early stopping on validation data'
    ),
    rule='',
    questions=[
      never(best_trials.BETTER),
      always(best_trials.WORSE, 'nfg'),
      always(best_trials.WORSE, 'noaf'),
      never(best_trials.WORSE, 'cifg', 'np'),
    ],
    otherwise='adding, copy and temporal order in place of speech, handwriting '
    'and music; 20 trials in place of 200; the best five in place of a tenth, '
    'on the data that chose them; tests of log loss that know of the choice, '
    'after Holm for all data sets; batches of 32, clipped gradients',
  ),
)
