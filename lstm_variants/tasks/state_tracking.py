"""Three regular languages: the answer is the state of a small automaton.

`parity`: whether the number of ones is odd. `even_pairs`: whether the number of
pairs 01 and 10 is odd, which is whether the first symbol differs from the last.
`cycle_navigation`: the position after a walk on a circle of 5 positions, from 0
on, with moves < (−1), = (0) and > (+1).

Worked examples, dialect `deletang23`: T = 6 symbols, then ? asks for the
answer: 0 (even) or 1 (odd), or the position.

    parity            0 0 0 1 1 1 ?
    target                        1     three ones
    even_pairs        0 1 0 0 1 1 ?
    target                        1     01, 10 and 01; it begins 0 and ends 1
    cycle_navigation  < = > < < = ?
    target                        3     −2 modulo 5

Worked examples, dialect `xlstm24`, T = 7 with the answer, which is not shown:
the same classes, in a vocabulary with padding (_) and the inputs.

    parity            0 0 0 1 1 1
    target                      1       of _ 0 1
    cycle_navigation  < = > < < =
    target                      3       of _ < = > 0 1 2 3 4

In its text `deletang23` names the answers of the first two b (even) and a (odd)
and lists the moves as =, >, <; its code, as here, has classes 0 and 1 and <, =,
>. The order is of no consequence.
"""

from collections.abc import Iterator, Mapping
import functools

import jax
import jax.numpy as jnp
import numpy as np

from lstm_variants.tasks import base, formal_languages

BITS = ('0', '1')
MOVES = ('<', '=', '>')


def draw_parity(
  key: jax.Array, lengths: jax.Array, size: int
) -> tuple[jax.Array, jax.Array]:
  """Draw bits and the parity of those inside `lengths`, `[batch]`."""
  bits = jax.random.randint(key, (lengths.shape[0], size), 0, 2)
  inside = jnp.arange(size) < lengths[:, None]
  return bits, jnp.sum(jnp.where(inside, bits, 0), axis=1) % 2


def draw_even_pairs(
  key: jax.Array, lengths: jax.Array, size: int
) -> tuple[jax.Array, jax.Array]:
  """Draw bits; the answer is 1 where the first differs from the last."""
  bits = jax.random.randint(key, (lengths.shape[0], size), 0, 2)
  # A masked sum, as XLA:CPU is slow at gathering.
  is_last = jnp.arange(size) == lengths[:, None] - 1
  last = jnp.sum(jnp.where(is_last, bits, 0), axis=1)
  return bits, bits[:, 0] ^ last


def draw_walks(
  key: jax.Array, lengths: jax.Array, size: int, *, positions: int
) -> tuple[jax.Array, jax.Array]:
  """Draw moves 0, 1, 2 for −1, 0, +1 and where they lead to, from 0 on."""
  moves = jax.random.randint(key, (lengths.shape[0], size), 0, 3)
  inside = jnp.arange(size) < lengths[:, None]
  return moves, jnp.sum(jnp.where(inside, moves - 1, 0), axis=1) % positions


def spread_parity() -> Iterator[np.ndarray]:
  """Yield p(last bit, parity): one bit is its parity, more hide it."""
  yield np.eye(2) / 2
  while True:
    yield np.full((2, 2), 1 / 4)


def spread_even_pairs() -> Iterator[np.ndarray]:
  """Yield p(last bit, answer): one bit has no pair, more hide the first."""
  yield np.array([[1.0, 0.0], [1.0, 0.0]]) / 2
  while True:
    yield np.full((2, 2), 1 / 4)


def spread_walks(positions: int) -> Iterator[np.ndarray]:
  """Yield p(last move, position): that of one move less, moved on."""
  before = np.eye(positions)[0]
  while True:
    joint = np.stack([np.roll(before, move) for move in (-1, 0, 1)]) / 3
    yield joint
    before = joint.sum(axis=0)


PARITY = formal_languages.Language(
  'parity', BITS, BITS, draw_parity, spread_parity
)
EVEN_PAIRS = formal_languages.Language(
  'even_pairs', BITS, BITS, draw_even_pairs, spread_even_pairs
)


def walks(positions: int) -> formal_languages.Language:
  """Return the walks on a circle of that many positions."""
  return formal_languages.Language(
    'cycle_navigation',
    MOVES,
    tuple(str(n) for n in range(positions)),
    functools.partial(draw_walks, positions=positions),
    functools.partial(spread_walks, positions),
  )


def build_parity_deletang23(spec: base.Spec) -> base.Task:
  """Return the parity check of Delétang et al. at lengths up to T.

  Chance: ln 2, half of the answers wrong.
  """
  return formal_languages.build_deletang23(
    spec,
    PARITY,
    'whether the number of ones is odd, asked after the word',
    published=(formal_languages.solved(),),
  )


def build_parity_xlstm24(spec: base.Spec) -> base.Task:
  """Return the parity task of Beck et al. at lengths up to T.

  Chance: ln 2, half of the answers wrong: the other bits hide the last one.
  """
  return formal_languages.build_xlstm24(
    spec,
    PARITY,
    'whether the number of ones is odd, told with the last bit',
    published=(formal_languages.retested(100.0),),
  )


def build_even_pairs_deletang23(spec: base.Spec) -> base.Task:
  """Return the even pairs of Delétang et al. at lengths up to T.

  Chance: −p ln p − (1 − p) ln (1 − p), and p wrong, p being the share of the
  answer 1: (L − 1) / (2 L) of L lengths from 1 on, as a single symbol has the
  answer 0; 1/2 where T = 1 is left out.
  """
  return formal_languages.build_deletang23(
    spec,
    EVEN_PAIRS,
    'whether the number of 01 and 10 is odd, asked after the word',
    published=(formal_languages.solved(),),
  )


def build_even_pairs_xlstm24(spec: base.Spec) -> base.Task:
  """Return the even pairs of Beck et al. at lengths up to T.

  Chance: ln 2, half of the answers wrong: the last bit is seen, the first not.
  """
  return formal_languages.build_xlstm24(
    spec,
    EVEN_PAIRS,
    'whether the number of 01 and 10 is odd, told with the last bit',
    published=(formal_languages.retested(100.0),),
  )


def build_cycle_navigation_deletang23(spec: base.Spec) -> base.Task:
  """Return the cycle navigation of Delétang et al. at lengths up to T.

  Chance: of 5 positions near ln 5 and 4/5 wrong, a little less as short walks
  end near the start; computed from the walk's distribution at each T.
  """
  return formal_languages.build_deletang23(
    spec,
    walks(spec.symbols),
    f'the position after a walk on a circle of {spec.symbols}',
    published=_if_five(spec, formal_languages.solved()),
  )


def build_cycle_navigation_xlstm24(spec: base.Spec) -> base.Task:
  """Return the cycle navigation of Beck et al. at lengths up to T.

  Chance: near ln 5 and 4/5 wrong, from the last move and the distribution of
  the position before it.
  """
  return formal_languages.build_xlstm24(
    spec,
    walks(spec.symbols),
    f'the position after a walk on a circle of {spec.symbols}, told at its end',
    published=_if_five(spec, formal_languages.retested(100.0)),
  )


def _if_five(
  spec: base.Spec, result: base.Published
) -> tuple[base.Published, ...]:
  return (result,) if spec.symbols == POSITIONS.default else ()


POSITIONS = base.Option(5, 2, 100, 'positions on the circle')


def _dialects(deletang23, xlstm24, options) -> Mapping[str, base.Dialect]:
  usual = formal_languages.USUAL
  return {
    'deletang23': base.Dialect(
      deletang23, 1, 'a word has a symbol', True, options, usual
    ),
    'xlstm24': base.Dialect(
      xlstm24, 3, 'two symbols and the answer', True, options, usual
    ),
  }


TASKS = {
  'parity': _dialects(build_parity_deletang23, build_parity_xlstm24, {}),
  'even_pairs': _dialects(
    build_even_pairs_deletang23, build_even_pairs_xlstm24, {}
  ),
  'cycle_navigation': _dialects(
    build_cycle_navigation_deletang23,
    build_cycle_navigation_xlstm24,
    {'symbols': POSITIONS},
  ),
}
