"""Missing duplicate: a word twice, with one symbol missing; which is it?

A word of bits and the same word again; one of these symbols, any, is hidden by
the token _. The answer is the other copy of it. So the symbols of the first
half are to be found again by their places, and where the halves meet is known
only at the end. A word of odd T ends with the token . that says nothing.

Worked example, dialect `deletang23`, T = 9, then ? asks for the answer:

    input    0 1 1 0 0 1 _ 0 . ?
    target                     1     0110 twice, the third of the second missing

T is at least 2, one symbol and its copy; the code of the paper has T = 1 too,
the same input and answer always.
"""

from collections.abc import Iterator, Mapping
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from lstm_variants.tasks import base, formal_languages

BITS = ('0', '1')
HIDDEN, NOTHING = 2, 3


def draw_duplicates(
  key: jax.Array, lengths: jax.Array, size: int
) -> tuple[jax.Array, jax.Array]:
  """Draw words twice with one symbol hidden, and that symbol.

  Args:
    key: a PRNG key.
    lengths: T, `[batch]`, at least 2.
    size: of the time axis.

  Returns:
    Words `[batch, size]`, bits, `HIDDEN` or `NOTHING`, and bits `[batch]`.
  """
  bit_key, place_key = jax.random.split(key)
  bits = jax.random.randint(bit_key, (lengths.shape[0], size), 0, len(BITS))
  halves = (lengths // 2)[:, None]
  time = jnp.arange(size)
  twice = jnp.take_along_axis(bits, time % halves, axis=1)
  chosen = jax.random.randint(place_key, lengths.shape, 0, 2 * halves[:, 0])
  is_chosen = time == chosen[:, None]
  answers = jnp.sum(jnp.where(is_chosen, twice, 0), axis=1)
  words = jnp.where(is_chosen, HIDDEN, twice)
  return jnp.where(time < 2 * halves, words, NOTHING), answers


def spread() -> Iterator[np.ndarray]:
  """Yield the probabilities of the answers, whatever T is."""
  while True:
    yield np.full((1, len(BITS)), 1 / len(BITS))


LANGUAGE = formal_languages.Language(
  'missing_duplicate', (*BITS, '_', '.'), BITS, draw_duplicates, spread
)


def build_deletang23(spec: base.Spec) -> base.Task:
  """Return the task at lengths up to T; chance is a guess between two."""
  task = formal_languages.build_deletang23(
    spec, LANGUAGE, 'which bit is missing in a word that is there twice'
  )
  # The rest of it is about regular tasks.
  criterion = formal_languages.CRITERION.partition(';')[0]
  return dataclasses.replace(task, criterion=criterion)


TASKS: Mapping[str, Mapping[str, base.Dialect]] = {
  'missing_duplicate': {
    'deletang23': base.Dialect(
      build_deletang23,
      2,
      'a symbol and its copy',
      True,
      usual=formal_languages.USUAL,
    )
  }
}
