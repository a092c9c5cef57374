"""How two papers pose a formal language: a word comes in, one answer goes out.

Dialect `deletang23`, of Delétang et al. 2023: every batch has one length T,
drawn from U{1, …, N}; after the word comes one step with the token ?, which
asks for the answer. Outputs are logits over the answers. Their score is the
accuracy, 1 − 'wrong', at lengths that are longer than those of training:

    make_task('parity', 'deletang23', 40)                training
    make_task('parity', 'deletang23', 500, shortest=41)  the score

Dialect `xlstm24`, of Beck et al. 2024: every sequence has a length T of its
own, drawn from U{3, …, N}, which counts the answer as the last token; the
answer is to be predicted from the token before it, as in a language model. So
a model reads T − 1 tokens. Outputs are logits over the whole vocabulary, which
has the padding token _ too. They train with N = 40 and test at 40 to 256. Their
scaled accuracy is (accuracy − chance) / (1 − chance), chance being that of a
guess among all answers.

Neither shows a model the answer, and neither has an error signal elsewhere.
"""

import collections
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lstm_variants.tasks import base, measures

# Asks for the answer (deletang23); fills up a batch (xlstm24).
ASK, PAD = '?', '_'
# A distribution over answers that changes by less from one unit to the next is
# that of all longer words: those of these languages mix exponentially.
_SETTLED = 1e-15
# The largest T of training in both papers.
USUAL = 40
# Delétang et al., appendix B.1: solved is a score of at least 90 %.
SOLVED = base.HeldOut('wrong', 0.1)
CRITERION = (
  'a mean accuracy of 90 % or more over T = 41 to 500, after training up to 40 '
  '(appendix B.1); of regular tasks it reports 100 % for RNN and LSTM'
)
DELETANG23 = 'Delétang et al., ICLR 2023, arXiv:2207.02098'
XLSTM24 = 'Beck et al., NeurIPS 2024, arXiv:2405.04517, appendix B.1'


class Language(NamedTuple):
  """Words and their answers.

  Attributes:
    name: of the task.
    letters: names of the symbols that words are made of.
    answers: their names.
    draw: `(key, lengths, size) -> (words, answers)`, of `lengths` in steps,
      `[batch]`, words `[batch, size]` and answers `[batch]`, both as indices;
      what a word has after its length is anything.
    spread: yields, for words of 1, 2, … units, the probabilities of (last
      letter, answer), `[letters, answers]`; one row where the last letter is
      not what the answer is read from.
    stride: a word of u units has stride · u − (stride − 1) steps.
    mark: the name of a token that `xlstm24` has after the word, too, where
      the answer is read from then; '' if there is none.
  """

  name: str
  letters: tuple[str, ...]
  answers: tuple[str, ...]
  draw: Callable[[jax.Array, jax.Array, int], tuple[jax.Array, jax.Array]]
  spread: Callable[[], Iterator[np.ndarray]]
  stride: int = 1
  mark: str = ''


def sample_deletang23(
  key: jax.Array,
  batch_size: int,
  length: base.Length,
  num_steps: int,
  *,
  language: Language,
) -> base.Batch:
  """Draw words of T steps, each followed by the token that asks for the answer.

  Args:
    key: a PRNG key.
    batch_size: number of sequences.
    length: T in steps; where words are odd, an even T loses one.
    num_steps: the time axis, at least T + 1; what follows is padding.
    language: of the words.

  Returns:
    A `Batch`: inputs `[batch, num_steps, letters + 1]`, targets `[batch,
    num_steps]`, the index of the answer; mask 1 at the last step alone.

  Reference:
    Delétang et al., ICLR 2023, arXiv:2207.02098, section 4, appendix A.3.
  """
  units = (length + language.stride - 1) // language.stride
  lengths = jnp.full((batch_size,), _steps(language, units))
  return _batch(key, lengths, num_steps, language, mark=1, offset=0)


def sample_xlstm24(
  key: jax.Array,
  batch_size: int,
  length: base.Length,
  num_steps: int,
  *,
  shortest: int,
  language: Language,
) -> base.Batch:
  """Draw words of many lengths; the answer is read from the last token.

  Args:
    key: a PRNG key.
    batch_size: number of sequences.
    length: the longest T, in tokens, of which the answer is one.
    num_steps: the time axis, at least T − 1; what follows is padding.
    shortest: the smallest T; T is drawn for each sequence. Where words are odd
      T is too, and the limits, if even, lose one.
    language: of the words.

  Returns:
    A `Batch`: inputs `[batch, num_steps, letters]`, one more if there is a
    mark; targets `[batch, num_steps]`, the answer's index in the vocabulary;
    mask 1 at each sequence's last step alone.

  Reference:
    Beck et al., NeurIPS 2024, arXiv:2405.04517, appendix B.1; their code.
  """
  key, length_key = jax.random.split(key)
  units = jax.random.randint(
    length_key,
    (batch_size,),
    (shortest - 1) // language.stride,
    (length - 1) // language.stride + 1,
  )
  lengths = _steps(language, units)
  offset = vocabulary(language).index(language.answers[0])
  mark = len(language.mark)
  return _batch(key, lengths, num_steps, language, mark=mark, offset=offset)


def _batch(
  key: jax.Array,
  lengths: jax.Array,
  num_steps: int,
  language: Language,
  mark: int,
  offset: int,
) -> base.Batch:
  """Build a batch of words of `lengths` and, if `mark` is 1, one more token."""
  words, answers = language.draw(key, lengths, num_steps)
  letters = len(language.letters)
  time = jnp.arange(num_steps)
  last = lengths[:, None] + mark - 1
  tokens = jnp.where(time < lengths[:, None], words, letters)
  graded = time == last
  inputs = jax.nn.one_hot(tokens, letters + mark)
  return base.Batch(
    inputs=inputs * (time <= last)[..., None],
    targets=jnp.where(graded, answers[:, None] + offset, 0),
    mask=graded.astype(inputs.dtype),
  )


def _steps(language: Language, units: Any) -> Any:
  return language.stride * units - (language.stride - 1)


def vocabulary(language: Language) -> tuple[str, ...]:
  """Return all tokens of `xlstm24`, in which answers are next to each other."""
  tokens = (PAD, *language.letters, *language.mark, *language.answers)
  return tuple(dict.fromkeys(tokens))


def chance(joint: np.ndarray) -> dict[str, float]:
  """Return the metrics of the best guess from what is seen at one step.

  Args:
    joint: the probabilities of (what is seen, answer), `[seen, answers]`.

  Returns:
    'loss': −Σ p(seen, answer) ln p(answer | seen), in nats; 'wrong': 1 − Σ of
    each row's largest.
  """
  given = joint.sum(axis=1, keepdims=True)
  surprise = np.log(given, where=given > 0, out=np.zeros_like(given))
  surprise = surprise - np.log(joint, where=joint > 0, out=np.zeros_like(joint))
  return {
    'loss': float(np.sum(joint * surprise)),
    'wrong': float(1 - np.sum(joint.max(axis=1))),
  }


def _baselines(
  language: Language, units: Iterable[int], *, marked: bool
) -> Mapping[str, float]:
  """Return the metrics of a predictor that sees the last token only.

  Args:
    language: of the words.
    units: the sizes of the words, each as likely as the others.
    marked: the answer is read from a token that is always the same.
  """
  weights = collections.Counter(units)
  rest = weights.total()
  total, before = 0.0, None
  spreads = zip(range(1, max(weights) + 1), language.spread(), strict=False)
  for size, joint in spreads:
    weight = weights[size]
    # Longer words do not change it any more: no need to go on to the longest.
    if before is not None and np.abs(joint - before).max() < _SETTLED:
      weight = rest
    total, rest, before = total + weight * joint, rest - weight, joint
    if not rest:
      break
  joint = np.asarray(total) / weights.total()
  known = chance(joint.sum(axis=0, keepdims=True) if marked else joint)
  return {**known, 'failed': known['wrong']}


def build_deletang23(
  spec: base.Spec, language: Language, summary: str, **texts: Any
) -> base.Task:
  """Return a language as Delétang et al. pose it; `texts` are of `Task`.

  Chance: the token ? tells nothing, so the best guess is one distribution over
  the answers, their mean over T.
  """
  stride = language.stride
  lengths = range(spec.shortest, spec.length + 1)
  units = [(length + stride - 1) // stride for length in lengths]
  num_steps = _steps(language, units[-1]) + 1
  return base.Task(
    name=language.name,
    dialect='deletang23',
    length=spec.length,
    num_steps=num_steps,
    inputs=base.symbols(*language.letters, ASK),
    outputs=base.symbols(*language.answers),
    sample=base.sampler(sample_deletang23, spec, num_steps, language=language),
    measure=measures.classification,
    sequence_errors=measures.class_errors,
    baselines=_baselines(language, units, marked=True),
    success=SOLVED,
    criterion=CRITERION,
    summary=summary,
    reference=DELETANG23,
    **texts,
  )


def build_xlstm24(
  spec: base.Spec, language: Language, summary: str, **texts: Any
) -> base.Task:
  """Return a language as Beck et al. pose it; `texts` are of `Task`.

  Chance: the best guess from the last token, over all T. The paper has no rule
  of success: that of Delétang et al. is used.
  """
  stride = language.stride
  units = range((spec.shortest - 1) // stride, (spec.length - 1) // stride + 1)
  num_steps = _steps(language, units[-1]) + len(language.mark)
  # T is drawn by the sequence, not by the batch.
  fixed = spec._replace(shortest=spec.length)
  return base.Task(
    name=language.name,
    dialect='xlstm24',
    length=spec.length,
    num_steps=num_steps,
    inputs=base.symbols(*language.letters, *language.mark),
    outputs=base.symbols(*vocabulary(language)),
    sample=base.sampler(
      sample_xlstm24,
      fixed,
      num_steps,
      shortest=spec.shortest,
      language=language,
    ),
    measure=measures.classification,
    sequence_errors=measures.class_errors,
    baselines=_baselines(language, units, marked=bool(language.mark)),
    success=SOLVED,
    summary=summary,
    reference=XLSTM24,
    **texts,
  )


def retested(percent: float) -> base.Published:
  """Return the accuracy of a plain LSTM in an independent test."""
  return base.Published(
    256,
    percent,
    '% right',
    'Terzić et al. 2025, arXiv:2509.22284, table 2, mean of 5 seeds',
    'plain LSTM; trained at T up to 40, 100,000 updates, tested at 40 to 256',
  )


def solved() -> base.Published:
  """Return what Delétang et al. say of their LSTM on the regular tasks."""
  return base.Published(
    500,
    100.0,
    '% right',
    'Delétang et al. 2023, appendix B.1, each of 10 seeds',
    'LSTM of 256; trained at T up to 40, 1,000,000 updates, tested at 41-500',
  )
