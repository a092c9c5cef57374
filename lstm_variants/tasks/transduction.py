"""A word goes in, and when all of it has been read a word comes out.

`reverse_string`, `duplicate_string` and `odds_first` ask for the symbols of the
word again, in another order or twice; `stack_manipulation` reads a stack, then
what is done to it, and asks for what is left. Symbols are 0 and 1, drawn
uniformly. After T steps of the word the token ? stands for as long as the
answer may be.

Worked examples, dialect `deletang23`, T = 5:

    reverse_string
    input    1 0 0 1 0 ? ? ? ? ?
    target             0 1 0 0 1

    duplicate_string
    input    1 0 0 1 0 ? ? ? ? ? ? ? ? ? ?
    target             1 0 0 1 0 1 0 0 1 0

    odds_first
    input    1 0 0 1 0 ? ? ? ? ?
    target             1 0 0 0 1

    stack_manipulation
    input    1 1 0 pop push1 ? ? ? ? ? ?
    target                   1 1 1 .

The first symbol is place 1, so odds first are places 1, 3, 5, as in the paper
and the examples of its code; what the code draws has places 2, 4 first. A stack
is read from the bottom to the top and answered from the top to the bottom; the
token . says that it is empty, and what follows is not graded. A pop of an empty
stack does nothing. With T = 1 there is one symbol, and nothing is done to it.

Each asks for memory that grows with T: for the first three a queue or a stack
of T symbols. The paper has them as deterministic context-free (reversal,
stacks) and context-sensitive.
"""

from collections.abc import Callable, Mapping
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lstm_variants.tasks import base, formal_languages, measures

BITS = ('0', '1')
END = '.'
ACTIONS = ('pop', 'push0', 'push1')
# (key, batch_size, length, num_steps) -> words and answers `[batch, num_steps]`
# from their first symbols on, and how many symbols of an answer are graded,
# `[batch]`.
Draw = Callable[
  [jax.Array, int, base.Length, int], tuple[jax.Array, jax.Array, jax.Array]
]


class Transduction(NamedTuple):
  """Words that come in, and the words that are to come out.

  Attributes:
    letters: names of the symbols of the words that come in.
    answers: of those that come out.
    draw: see `Draw`.
    steps: T -> for how many steps the answer is asked for.
    chance: several T -> how often each of the answers is graded in a sequence,
      up to a factor, `[T, answers]`, and the chance that the best answer
      throughout is right, `[T]`.
    summary: one line.
  """

  letters: tuple[str, ...]
  answers: tuple[str, ...]
  draw: Draw
  steps: Callable[[base.Length], base.Length]
  chance: Callable[[range], tuple[np.ndarray, np.ndarray]]
  summary: str


def sample(
  key: jax.Array,
  batch_size: int,
  length: base.Length,
  num_steps: int,
  *,
  kind: Transduction,
) -> base.Batch:
  """Draw words of T symbols, each followed by the steps of its answer.

  Args:
    key: a PRNG key.
    batch_size: number of sequences.
    length: T in steps.
    num_steps: the time axis, at least T and the steps of the answer; what
      follows is padding.
    kind: of words and answers.

  Returns:
    A `Batch`: inputs `[batch, num_steps, letters + 1]`, targets `[batch,
    num_steps]`; mask 1 from step T on, for as long as the answer is graded.

  Reference:
    Delétang et al., ICLR 2023, arXiv:2207.02098, section 4, appendix A.3; their
    code.
  """
  words, answers, counts = kind.draw(key, batch_size, length, num_steps)
  time = jnp.arange(num_steps)
  letters = len(kind.letters)
  tokens = jnp.where(time < length, words, letters)
  inputs = jax.nn.one_hot(tokens, letters + 1)
  place = time - length
  answers = jnp.take(answers, jnp.maximum(place, 0), axis=1)
  graded = (place >= 0) & (place < counts[:, None])
  inside = time < length + kind.steps(length)
  return base.Batch(
    inputs=inputs * inside[:, None],
    targets=jnp.where(graded, answers, 0),
    mask=graded.astype(inputs.dtype),
  )


def _draw_rearranged(
  find: Callable[[jax.Array, base.Length], jax.Array],
  times: int,
  key: jax.Array,
  batch_size: int,
  length: base.Length,
  num_steps: int,
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Draw words, and the same symbols rearranged; see `Draw`.

  Args:
    find: `(n, T) -> ` the place in the word of the n-th symbol of the answer.
    times: how many times as long as the word the answer is.
    key: a PRNG key.
    batch_size: number of sequences.
    length: T.
    num_steps: of both.
  """
  words = jax.random.randint(key, (batch_size, num_steps), 0, len(BITS))
  places = find(jnp.arange(num_steps), length)
  answers = jnp.take(words, jnp.clip(places, 0, num_steps - 1), axis=1)
  return words, answers, jnp.full(batch_size, times * length)


def _odds_first(place: jax.Array, length: base.Length) -> jax.Array:
  odds = (length + 1) // 2
  return jnp.where(place < odds, 2 * place, 2 * (place - odds) + 1)


def _guess_rearranged(lengths: range) -> tuple[np.ndarray, np.ndarray]:
  """Return the chances of guesses; see `Transduction.chance`.

  One answer throughout is right for the word of that symbol alone.
  """
  counts = np.asarray(lengths, float)
  return np.stack((counts, counts), axis=-1), 0.5**counts


def _draw_stacks(
  key: jax.Array, batch_size: int, length: base.Length, num_steps: int
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Draw stacks and what is done to them; see `Draw`.

  Of T steps 1 to T − 1, all as likely, are the stack.
  """
  bit_key, size_key, action_key = jax.random.split(key, 3)
  shape = num_steps, batch_size
  bits = jax.random.randint(bit_key, shape, 0, len(BITS))
  actions = jax.random.randint(action_key, shape, 0, len(ACTIONS))
  sizes = jax.random.randint(size_key, (batch_size,), 1, jnp.maximum(length, 2))
  time = jnp.arange(num_steps)[:, None]
  words = jnp.where(time < sizes, bits, len(BITS) + actions)
  rows = jnp.arange(batch_size)

  def step(state, both):
    stack, top = state
    t, token = both
    action = token - len(BITS)
    pushed = jnp.where(action < 0, token, action - 1)
    pops = action == 0
    stack = stack.at[rows, top].set(jnp.where(pops, stack[rows, top], pushed))
    moved = jnp.where(pops, jnp.maximum(top - 1, 0), top + 1)
    return (stack, jnp.where(t < length, moved, top)), None

  start = jnp.zeros(shape[::-1], bits.dtype), jnp.zeros(batch_size, bits.dtype)
  (stack, top), _ = jax.lax.scan(step, start, (time[:, 0], words))
  place = top[:, None] - 1 - time[:, 0]
  answers = jnp.take_along_axis(stack, jnp.maximum(place, 0), axis=1)
  return words.T, jnp.where(place >= 0, answers, len(BITS)), top + 1


def _guess_stacks(lengths: range) -> tuple[np.ndarray, np.ndarray]:
  """Return the chances of guesses; see `Transduction.chance`.

  The end throughout is right for empty stacks.
  """
  sizes = np.zeros((lengths[-1], lengths[-1] + 1))
  sizes[0, 1] = 1
  # Of each size, over all stacks that have begun: a stack of n symbols begins
  # at step n, and every action takes a step.
  begun = np.zeros(lengths[-1] + 1)
  for step in range(1, lengths[-1]):
    begun[step] += 1
    moved = np.zeros_like(begun)
    moved[1:] = begun[:-1] * 2 / 3
    moved[:-1] += begun[1:] / 3
    moved[0] += begun[0] / 3
    begun, sizes[step] = moved, moved / step
  sizes = sizes[lengths[0] - 1 :]
  symbols = sizes @ np.arange(lengths[-1] + 1)
  counts = np.stack((symbols / 2, symbols / 2, np.ones_like(symbols)), axis=-1)
  return counts, sizes[:, 0]


def _rearranged(
  find: Callable[[jax.Array, base.Length], jax.Array], times: int, summary: str
) -> Transduction:
  return Transduction(
    letters=BITS,
    answers=BITS,
    draw=functools.partial(_draw_rearranged, find, times),
    steps=lambda length: times * length,
    chance=_guess_rearranged,
    summary=summary,
  )


KINDS: Mapping[str, Transduction] = {
  'reverse_string': _rearranged(
    lambda place, length: length - 1 - place, 1, 'a word of bits backwards'
  ),
  'duplicate_string': _rearranged(
    lambda place, length: place % length, 2, 'a word of bits, twice'
  ),
  'odds_first': _rearranged(
    _odds_first, 1, 'the bits at odd places, then those at even ones'
  ),
  'stack_manipulation': Transduction(
    letters=(*BITS, *ACTIONS),
    answers=(*BITS, END),
    draw=_draw_stacks,
    steps=lambda length: length + 1,
    chance=_guess_stacks,
    summary='what is left of a stack of bits after pushes and pops',
  ),
}


def build(name: str, kind: Transduction, spec: base.Spec) -> base.Task:
  """Return a transduction of Delétang et al. at lengths up to T.

  Chance: the token ? tells nothing, so the best guess is one distribution over
  the answers, the same at each step.
  """
  counts, right = kind.chance(range(spec.shortest, spec.length + 1))
  guessed = formal_languages.chance(counts.sum(0, keepdims=True) / counts.sum())
  num_steps = spec.length + int(kind.steps(spec.length))
  return base.Task(
    name=name,
    dialect='deletang23',
    length=spec.length,
    num_steps=num_steps,
    inputs=base.symbols(*kind.letters, formal_languages.ASK),
    outputs=base.symbols(*kind.answers),
    sample=base.sampler(sample, spec, num_steps, kind=kind),
    measure=measures.classification,
    sequence_errors=measures.class_errors,
    baselines={**guessed, 'failed': 1 - float(np.mean(right))},
    success=formal_languages.SOLVED,
    criterion=formal_languages.CRITERION.partition(';')[0],
    summary=kind.summary,
    reference=formal_languages.DELETANG23,
  )


TASKS = {
  name: {
    'deletang23': base.Dialect(
      functools.partial(build, name, kind),
      1,
      'a word has a symbol',
      True,
      usual=formal_languages.USUAL,
    )
  }
  for name, kind in KINDS.items()
}
