"""Modular arithmetic: evaluate an expression without brackets, modulo 5.

Numbers 0 to 4 alternate with operators +, − and ×, all drawn uniformly; × binds
more closely than + and −, which are evaluated from the left. So words have odd
lengths.

Worked example, dialect `deletang23`, T = 5, then ? asks for the answer:

    input    1 + 2 * 3 ?
    target             2     1 + 6 = 7 = 2 modulo 5

Worked example, dialect `xlstm24`, T = 7 with the sign = and the answer, which
is not shown; classes are the vocabulary _ 0 1 2 3 4 + - * =.

    input    1 + 2 * 3 =
    target             2

Of an even T drawn in `deletang23` the text makes T + 1, the public code T − 1:
here as in the code, so that no word is longer than the longest. The code has an
input for a blank, too, which it never draws: left out.
"""

from collections.abc import Iterator, Mapping
import functools

import jax
import jax.numpy as jnp
import numpy as np

from lstm_variants.tasks import base, formal_languages

OPERATORS = ('+', '-', '*')
PLUS, MINUS, TIMES = range(3)
# Steps of an operator and a number.
STRIDE = 2


def draw_expressions(
  key: jax.Array, lengths: jax.Array, size: int, *, modulus: int
) -> tuple[jax.Array, jax.Array]:
  """Draw expressions of odd `lengths`, `[batch]`, and their values.

  Args:
    key: a PRNG key.
    lengths: in steps.
    size: of the time axis.
    modulus: m; letters are 0 to m − 1 for numbers, then the operators.

  Returns:
    Expressions `[batch, size]` and values `[batch]`, from 0 to m − 1.
  """
  number_key, operator_key = jax.random.split(key)
  shape = (lengths.shape[0], (size + 1) // 2)
  numbers = jax.random.randint(number_key, shape, 0, modulus)
  # Each stands after the number of its index.
  operators = jax.random.randint(operator_key, shape, 0, len(OPERATORS))
  expressions = jnp.stack((numbers, operators + modulus), axis=-1)
  expressions = expressions.reshape(shape[0], -1)[:, :size]

  inside = 2 * jnp.arange(shape[1]) < lengths[:, None]
  before = jnp.pad(operators[:, :-1], ((0, 0), (1, 0)), constant_values=PLUS)
  values = evaluate(
    jnp.where(inside, numbers, 0), jnp.where(inside, before, PLUS), modulus
  )
  return expressions, values


def evaluate(
  numbers: jax.Array, operators: jax.Array, modulus: int
) -> jax.Array:
  """Return the value of each expression modulo `modulus`, `[batch]`.

  From left to right, with the sum of the terms before and the last term: × goes
  into the last term, + and − begin a new one. A scan of half as many steps as a
  model takes, each of a few integers; on a CPU faster than an associative scan.

  Args:
    numbers: `[batch, count]`.
    operators: before each number, `[batch, count]`; `PLUS` before the first.
    modulus: m.
  """

  def step(carry, following):
    total, term = carry
    number, operator = following
    times = operator == TIMES
    signed = jnp.where(operator == MINUS, -number, number)
    total = jnp.where(times, total, total + term)
    term = jnp.where(times, term * number, signed)
    return (total % modulus, term % modulus), None

  zero = jnp.zeros_like(numbers[:, 0])
  (total, term), _ = jax.lax.scan(step, (zero, zero), (numbers.T, operators.T))
  return (total + term) % modulus


def spread_values(modulus: int) -> Iterator[np.ndarray]:
  """Yield p(value), `[1, modulus]`, of expressions with 1, 2, … numbers.

  It follows p(sum of the terms before, the last term): after + and − the last
  term is a new number; × multiplies it with one.
  """
  numbers = np.arange(modulus)
  times = np.zeros((modulus, modulus))
  np.add.at(
    times, (numbers[:, None], numbers[:, None] * numbers % modulus), 1 / modulus
  )
  before = (numbers[:, None] - numbers) % modulus
  state = np.zeros((modulus, modulus))
  state[0] = 1 / modulus
  while True:
    value = state[before, numbers].sum(axis=1)
    yield value[None]
    state = 2 / 3 * value[:, None] / modulus + state @ times / 3


def expressions(modulus: int) -> formal_languages.Language:
  """Return the expressions over 0 to `modulus` − 1."""
  numbers = tuple(str(n) for n in range(modulus))
  return formal_languages.Language(
    'modular_arithmetic',
    (*numbers, *OPERATORS),
    numbers,
    functools.partial(draw_expressions, modulus=modulus),
    functools.partial(spread_values, modulus),
    stride=STRIDE,
    mark='=',
  )


def build_deletang23(spec: base.Spec) -> base.Task:
  """Return the simple modular arithmetic of Delétang et al., up to T.

  Chance: of one distribution over the values, computed for each T; less than
  ln 5 and 4/5 wrong, as products with 0 make 0 the likeliest.
  """
  return formal_languages.build_deletang23(
    spec,
    expressions(spec.symbols),
    f'the value of an expression with +, - and * modulo {spec.symbols}',
    published=_if_five(spec, formal_languages.solved()),
  )


def build_xlstm24(spec: base.Spec) -> base.Task:
  """Return the modular arithmetic without brackets of Beck et al., up to T.

  Chance: as the answer is read from the sign =, of one distribution over the
  values, computed for each T.

  The published number is of data that differ in detail: an odd T gains one.
  """
  return formal_languages.build_xlstm24(
    spec,
    expressions(spec.symbols),
    f'the value of an expression modulo {spec.symbols}, told at its sign =',
    published=_if_five(spec, formal_languages.retested(99.9)),
  )


def _if_five(
  spec: base.Spec, result: base.Published
) -> tuple[base.Published, ...]:
  return (result,) if spec.symbols == MODULUS.default else ()


MODULUS = base.Option(5, 2, 10, 'the modulus')
_OPTIONS: Mapping[str, base.Option] = {'symbols': MODULUS}
TASKS = {
  'modular_arithmetic': {
    'deletang23': base.Dialect(
      build_deletang23,
      1,
      'a word has a number',
      True,
      _OPTIONS,
      formal_languages.USUAL,
      stride=STRIDE,
    ),
    'xlstm24': base.Dialect(
      build_xlstm24,
      3,
      'a number, = and the answer',
      True,
      _OPTIONS,
      formal_languages.USUAL,
      stride=STRIDE,
    ),
  }
}
