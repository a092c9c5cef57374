"""Words over a finite group: after each letter, the product of all so far.

A letter is an element of the group, and the state to be kept is one, too:

    p_0 = 1      p_t = p_{t−1} x_t      target at step t: p_t

Whether a model can do it without going from step to step depends on the group.
Of the three with 60 elements Z60 is commutative, A4 × Z5 is not but is
solvable, and A5 is not, as S5 is not: their words are complete for NC¹, so that
no transformer and no linear recurrence with a diagonal matrix has them right at
every T, unless TC⁰ = NC¹. One layer that feeds its state back can.

Dialects: `s3`, `s5`, `a5`, `z60`, `a4xz5`, every element a letter, as likely as
the others; and, chosen here, `s5_swaps` with the 10 transpositions of S5 for
letters, so that the state is one of 120 and a step is small.

Worked example, dialect `s3`, T = 4; a permutation is written as what it makes
of 1, 2, 3, and the one on the left acts first:

    input    213 132 231 213
    target   213 312 123 213

After 213 and 132: 1 becomes 2, which becomes 3; 2 becomes 1, which stays; 3
becomes 2. So 312.

An element of Z60 is written as a number, one of A4 × Z5 as 2143+3. Every word
has T letters, and every step counts; their data have a file for each T up to
20. What is asked is mostly a model trained at such a T on words many times as
long (`task.evaluation_length`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
import functools
import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lstm_variants.tasks import base, formal_languages, measures

MERRILL24 = (
  'Merrill, Petty & Sabharwal, ICML 2024, arXiv:2404.08819; their data'
)
# T of most words in the data of Merrill et al.: the longest.
USUAL = 20
# A walk that changes by less in two steps goes on like this.
_SETTLED = 1e-15


class Group(NamedTuple):
  """A group, and the letters of its words.

  Attributes:
    names: of the elements; the first is the neutral one.
    table: `[elements, elements]`, the number of the product a b.
    letters: the numbers of the elements that words are made of.
  """

  names: tuple[str, ...]
  table: np.ndarray
  letters: tuple[int, ...]


def permutations(size: int, *, even: bool = False) -> Group:
  """Return the permutations of 1, …, size in alphabetical order.

  Args:
    size: of what is permuted.
    even: only those with an even number of inversions.
  """
  elements = [
    one
    for one in itertools.permutations(range(size))
    if not even or _inversions(one) % 2 == 0
  ]
  number = {one: n for n, one in enumerate(elements)}
  table = [[number[tuple(b[i] for i in a)] for b in elements] for a in elements]
  names = tuple(''.join(str(i + 1) for i in one) for one in elements)
  return Group(names, np.array(table), tuple(range(len(elements))))


def cyclic(order: int) -> Group:
  """Return the numbers below `order` with addition modulo that."""
  numbers = np.arange(order)
  table = (numbers[:, None] + numbers) % order
  return Group(tuple(map(str, numbers)), table, tuple(range(order)))


def product(one: Group, two: Group) -> Group:
  """Return the pairs of elements, written a+b."""
  size = len(two.names)
  numbers = np.arange(len(one.names) * size)
  first, second = numbers // size, numbers % size
  table = one.table[np.ix_(first, first)] * size
  table = table + two.table[np.ix_(second, second)]
  names = tuple(f'{a}+{b}' for a in one.names for b in two.names)
  return Group(names, table, tuple(range(len(numbers))))


def swaps(group: Group) -> Group:
  """Return a group of permutations with its transpositions for letters."""
  chosen = tuple(
    n
    for n, name in enumerate(group.names)
    if sum(a != b for a, b in zip(name, group.names[0], strict=True)) == 2
  )
  return group._replace(letters=chosen)


def _inversions(elements: Sequence[int]) -> int:
  return sum(a > b for a, b in itertools.combinations(elements, 2))


def sample(
  key: jax.Array,
  batch_size: int,
  length: base.Length,
  num_steps: int,
  *,
  group: Group,
) -> base.Batch:
  """Draw words of T letters, with the product after each of them.

  Args:
    key: a PRNG key.
    batch_size: number of sequences.
    length: T in steps.
    num_steps: the time axis, at least T; what follows is padding.
    group: whose elements they are.

  Returns:
    A `Batch`: inputs `[batch, num_steps, letters]`, targets `[batch,
    num_steps]`, the number of the product; mask 1 up to step T.
  """
  shape = num_steps, batch_size
  words = jax.random.randint(key, shape, 0, len(group.letters))
  # What an element becomes when a letter follows, `[letters, elements]`.
  follow = jnp.asarray(group.table.T[list(group.letters)])

  def step(product, letter):
    product = follow[letter, product]
    return product, product

  start = jnp.zeros(batch_size, follow.dtype)
  _, products = jax.lax.scan(step, start, words)
  mask = jnp.broadcast_to(jnp.arange(num_steps) < length, shape[::-1])
  inputs = jax.nn.one_hot(words.T, len(group.letters)) * mask[..., None]
  return base.Batch(
    inputs, jnp.where(mask, products.T, 0), mask.astype(inputs.dtype)
  )


def baselines(group: Group, spec: base.Spec) -> dict[str, float]:
  """Return the metrics of the best guess from the last letter alone.

  Before it is the product of t − 1 letters, a random walk; t is any step of a
  word, of each T equally often.
  """
  steps = np.arange(1, spec.length + 1)
  weights = spec.length + 1 - np.maximum(steps, spec.shortest)
  joint = np.zeros((len(group.letters), len(group.names)))
  walk = _walk(group)
  # Swaps are even and odd in turn, so that it never comes to rest, but repeats.
  before, last = next(walk), next(walk)
  for t in range(spec.length):
    now = next(walk)
    if np.abs(now - before).max() < _SETTLED:
      joint += before * weights[t::2].sum() + last * weights[t + 1 :: 2].sum()
      break
    joint += before * weights[t]
    before, last = last, now
  return formal_languages.chance(joint / joint.sum())


def _walk(group: Group) -> Iterator[np.ndarray]:
  """Yield p(letter, product) after t = 1, 2, … letters."""
  follow = group.table.T[list(group.letters)]
  before = np.eye(len(group.names))[0]
  while True:
    joint = np.zeros(follow.shape)
    np.put_along_axis(joint, follow, before[None] / len(follow), axis=1)
    yield joint
    before = joint.sum(axis=0)


# name -> how to make the group, and what its elements are; the first is usual.
GROUPS: Mapping[str, tuple[Callable[[], Group], str]] = {
  'a5': (lambda: permutations(5, even=True), '60 even permutations of five'),
  's5': (lambda: permutations(5), '120 permutations of five'),
  's5_swaps': (lambda: swaps(permutations(5)), 'swaps among five'),
  'a4xz5': (
    lambda: product(permutations(4, even=True), cyclic(5)),
    '60 pairs of an even permutation of four and a number modulo 5',
  ),
  'z60': (lambda: cyclic(60), 'numbers modulo 60'),
  's3': (lambda: permutations(3), '6 permutations of three'),
}


@functools.cache
def make_group(name: str) -> Group:
  """Return a group of `GROUPS`."""
  return GROUPS[name][0]()


def build(name: str, spec: base.Spec) -> base.Task:
  """Return the words of a group.

  Chance: with n elements, all of them letters, the first letter is its own
  product and hides the later ones: with m the mean of T the best guess, the
  letter itself, is wrong in (1 − 1/m)(1 − 1/n) of the steps. The loss, and both
  for swaps, follow from the distribution of the product at each step.
  """
  group = make_group(name)
  return base.Task(
    name='group_words',
    dialect=name,
    length=spec.length,
    num_steps=spec.length,
    inputs=base.symbols(*(group.names[n] for n in group.letters)),
    outputs=base.symbols(*group.names),
    sample=base.sampler(sample, spec, spec.length, group=group),
    measure=measures.classification,
    sequence_errors=measures.class_errors,
    baselines=baselines(group, spec),
    success=base.HeldOut('wrong', 0.1),
    criterion='more than 90 % right on validation words (as quoted by others)',
    summary=f'the running product of {GROUPS[name][1]}',
    reference=MERRILL24,
  )


TASKS = {
  'group_words': {
    name: base.Dialect(
      functools.partial(build, name),
      1,
      'a word has a letter',
      usual=USUAL,
    )
    for name in GROUPS
  }
}
