"""Binary addition: two numbers come in, their sum comes out.

Numbers are bits from the least significant on, so that a carry goes the way of
reading. Of T steps one is the sign +. The first number has 1 to T − 2 bits, all
as likely, the second has the rest. Both are at least 1: n bits are a number
from 1 to 2ⁿ − 1, all as likely, and may end with zeros. As the bits of one are
read after those of the other, all of the first are to be kept.

Worked example, dialect `deletang23`, T = 7; then the token ? asks for the sum,
whose end is the token . and which has no zeros that say nothing:

    input    1 1 0 + 0 1 1 ? ? ? ? ? ? ? ?
    target                 1 0 0 1 .              3 + 6 = 9

T is at least 3; the code of the paper has one number alone below that.
"""

from collections.abc import Mapping
import functools

import jax
import jax.numpy as jnp
import numpy as np

from lstm_variants.tasks import base, formal_languages, transduction

PLUS = '+'
# Numbers so many bits below the largest have a chance below rounding.
_BITS_SEEN = 60


def _draw_numbers(key: jax.Array, sizes: jax.Array, num_bits: int) -> jax.Array:
  """Draw numbers from 1 to 2^size − 1, `[batch, num_bits]`, lowest bit first.

  The lowest bit that is 1 is bit j with a chance of 2^−(j + 1), up to a factor;
  those above it are uniform. It is drawn to 2⁻²⁴.
  """
  bit_key, lowest_key = jax.random.split(key)
  bits = jax.random.randint(bit_key, (sizes.shape[0], num_bits), 0, 2)
  chance = 1 - 2.0 ** -sizes.astype(jnp.float32)
  below = jax.random.uniform(lowest_key, sizes.shape) * chance
  lowest = jnp.floor(-jnp.log2(1 - below)).astype(sizes.dtype)
  lowest = jnp.minimum(lowest, sizes - 1)[:, None]
  place = jnp.arange(num_bits)
  bits = jnp.where(place < lowest, 0, jnp.where(place == lowest, 1, bits))
  return jnp.where(place < sizes[:, None], bits, 0)


def _add(one: jax.Array, two: jax.Array) -> jax.Array:
  """Return the sum of numbers, `[batch, bits]`, the lowest first."""

  def step(carry, bits):
    total = bits[0] + bits[1] + carry
    return total // 2, total % 2

  _, bits = jax.lax.scan(step, jnp.zeros_like(one[:, 0]), (one.T, two.T))
  return bits.T


def draw(
  key: jax.Array, batch_size: int, length: base.Length, num_steps: int
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Draw sums; see `transduction.Draw`."""
  size_key, one_key, two_key = jax.random.split(key, 3)
  sizes = jax.random.randint(size_key, (batch_size,), 1, length - 1)
  one = _draw_numbers(one_key, sizes, num_steps)
  two = _draw_numbers(two_key, length - 1 - sizes, num_steps)
  time = jnp.arange(num_steps)
  after = time - sizes[:, None] - 1
  second = jnp.take_along_axis(two, jnp.maximum(after, 0), axis=1)
  plus, end = len(transduction.BITS), len(transduction.BITS)
  words = jnp.where(after < -1, one, jnp.where(after < 0, plus, second))
  total = _add(one, two)
  bits = 1 + jnp.max(jnp.where(total > 0, time, 0), axis=1)
  return words, jnp.where(time < bits[:, None], total, end), bits + 1


def count(lengths: range) -> tuple[np.ndarray, np.ndarray]:
  """Return the chances of guesses; see `transduction.Transduction.chance`.

  No sum is one answer throughout, as it has a bit and an end.
  """
  counts = np.array([_count(length) for length in lengths])
  return counts, np.zeros(len(lengths))


def _count(length: int) -> tuple[float, float, float]:
  """Return how many 0, 1 and ends a sum has on average.

  Let a ≥ b be the bits of the numbers. Over all pairs, zeros included, bit k of
  the sum is uniform for k < a, as that of the longer number is, and bit a is
  the last carry; and the sum has more than k bits unless it is below 2^k. What
  pairs with a zero add to it is taken off.
  """
  one = np.arange(1, length - 1)[:, None]
  a = np.maximum(one, length - 1 - one).astype(float)
  b = length - 1 - a
  pairs = (1 - 2.0**-a) * (1 - 2.0**-b)
  ones = a / 2 + (1 - 2.0**-b) * 2.0 ** (b - a - 1)
  ones = (ones - 2.0**-a * b / 2 - 2.0**-b * a / 2) / pairs
  k = a - np.arange(_BITS_SEEN)
  below = np.where(
    k <= b,
    (2.0 ** (2 * k - a - b) + 2.0 ** (k - a - b)) / 2,
    2.0 ** (k - a) - (2.0 ** (b - a) - 2.0**-a) / 2,
  )
  below += 2.0 ** (-a - b) * (1 - 2.0 ** np.minimum(a, k))
  below -= 2.0 ** (np.minimum(b, k) - a - b)
  bits = a + 1 - np.sum(np.where(k >= 0, below, 0), axis=1)[:, None] / pairs
  return float(np.mean(bits - ones)), float(np.mean(ones)), 1.0


KIND = transduction.Transduction(
  letters=(*transduction.BITS, PLUS),
  answers=(*transduction.BITS, transduction.END),
  draw=draw,
  steps=lambda length: length + 1,
  chance=count,
  summary='the sum of two binary numbers',
)
TASKS: Mapping[str, Mapping[str, base.Dialect]] = {
  'binary_addition': {
    'deletang23': base.Dialect(
      functools.partial(transduction.build, 'binary_addition', KIND),
      3,
      'two numbers and a sign',
      True,
      usual=formal_languages.USUAL,
    )
  }
}
