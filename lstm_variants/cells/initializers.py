"""Initial weights and biases."""

from collections.abc import Callable, Mapping, Sequence
import functools

import jax
import jax.numpy as jnp

from lstm_variants import arguments
from lstm_variants import names as names_lib

Initializer = Callable[..., jax.Array]


def uniform(key: jax.Array, shape: tuple[int, ...], dtype) -> jax.Array:
  """Draw from U[−1/√n, 1/√n], n the number of columns (H for a gate)."""
  bound = shape[-1] ** -0.5
  return jax.random.uniform(key, shape, dtype, -bound, bound)


def orthogonal(key: jax.Array, shape: tuple[int, int], dtype) -> jax.Array:
  """Draw an orthogonal matrix, uniform over the orthogonal group (Haar).

  Gram–Schmidt on the columns of a Gaussian matrix, each projected twice, which
  keeps them orthogonal to rounding error. Not `jnp.linalg.qr`: jaxlib 0.10.2
  can hang for ever in the batched LAPACK call on a CPU with two threads.

  Args:
    key: a PRNG key.
    shape: `(H, H)`.
    dtype: of the result; computed in at least 32 bits.

  Returns:
    `[H, H]`, Qᵀ Q = I.

  Reference:
    Giraud, Langou & Rozložník 2005, Numer. Math. 101 (twice is enough);
    Mezzadri 2007, Notices AMS 54(5), arXiv:math-ph/0609050 (Haar).
  """
  wide = jnp.promote_types(dtype, jnp.float32)
  gaussian = jax.random.normal(key, shape, wide)

  def add_column(index: jax.Array, basis: jax.Array) -> jax.Array:
    column = gaussian[:, index]
    for _ in range(2):
      column = column - basis @ (basis.T @ column)
    return basis.at[:, index].set(column / jnp.linalg.norm(column))

  basis = jax.lax.fori_loop(0, shape[1], add_column, jnp.zeros(shape, wide))
  return basis.astype(dtype)


# name -> (initialiser of one gate's input block [F, H], of its recurrent block
# [H, H]). Blocks are drawn per gate and then put side by side: an orthogonal
# [H, 4H] matrix would have blocks with singular values far below one.
RECURRENT: Mapping[str, tuple[Initializer, Initializer]] = {
  'orthogonal': (
    jax.nn.initializers.lecun_normal(),
    orthogonal,
  ),
  'uniform': (uniform, uniform),
}


def find(name: str) -> tuple[Initializer, Initializer]:
  """Return the pair of initialisers called `name` in `RECURRENT`.

  Raises:
    ArgumentError: there is none of that name.
  """
  if name not in RECURRENT:
    raise arguments.ArgumentError(
      f'recurrent_init={name!r} is not one of {", ".join(RECURRENT)}'
      + names_lib.hint(name, RECURRENT, repr)
    )
  return RECURRENT[name]


def blocks(
  key: jax.Array,
  in_features: int,
  hidden_features: int,
  count: int,
  recurrent_init: str,
  dtype: jnp.dtype,
  chosen: Sequence[int] | None = None,
) -> tuple[jax.Array, jax.Array]:
  """Draw the weights of some gates, each by itself, and put them side by side.

  Args:
    key: a PRNG key; each of the gates has its own, whichever are chosen.
    in_features: F.
    hidden_features: H.
    count: how many gates there could be.
    recurrent_init: a name from `RECURRENT`.
    dtype: of the weights.
    chosen: numbers of those that there are; None for all.

  Returns:
    The input weights `[F, n · H]` and the recurrent `[H, n · H]` of n gates,
    from `fold_in(key, 0)` and `fold_in(key, 1)`.

  Raises:
    ArgumentError: an unknown `recurrent_init`.
  """

  def draw(initializer: Initializer, leaf: int, rows: int) -> jax.Array:
    keys = jax.random.split(jax.random.fold_in(key, leaf), count)
    shape = (rows, hidden_features)
    return jnp.concatenate(
      _draw(keys[gates], initializer, shape, dtype), axis=1
    )

  gates = jnp.asarray(range(count) if chosen is None else chosen)
  inputs, recurrent = find(recurrent_init)
  return draw(inputs, 0, in_features), draw(recurrent, 1, hidden_features)


@functools.partial(jax.jit, static_argnums=(1, 2, 3))
def _draw(
  keys: jax.Array, initializer: Initializer, shape: tuple[int, int], dtype
) -> jax.Array:
  """Draw a matrix from each key: one after another, as that compiles once."""
  return jax.lax.map(lambda key: initializer(key, shape, dtype), keys)


def keep_bias(
  key: jax.Array,
  hidden_features: int,
  forget_bias: float | jax.Array,
  chrono_t_max: float | jax.Array,
) -> jax.Array:
  """Return the bias of the gate that keeps the state, `[H]`.

  Of the constant form `forget_bias`, of chrono log U[1, T_max − 1]; see
  `gate_bias`.
  """
  _, keep, _, _ = jnp.split(
    gate_bias(key, hidden_features, False, forget_bias, chrono_t_max), 4
  )
  return keep


def gate_bias(
  key: jax.Array,
  hidden_features: int,
  coupled: bool | jax.Array,
  forget_bias: float | jax.Array,
  chrono_t_max: float | jax.Array,
) -> jax.Array:
  """Return the biases of the gates i, f, g, o.

      constant:  b_f = forget_bias               b_i = 0, −b_f with `coupled`
      chrono:    b_f ~ log U[1, T_max − 1]       b_i = −b_f

  Args:
    key: a PRNG key, used by chrono only.
    hidden_features: H.
    coupled: whether f = 1 − σ(z_i), so that b_i is the forget bias turned.
    forget_bias: of the constant form.
    chrono_t_max: T_max in steps; 0 for the constant form.

  Returns:
    b, `[4H]`.

  Raises:
    ArgumentError: a static `chrono_t_max` that is neither 0 nor at least 3.

  Reference:
    Tallec & Ollivier, ICLR 2018, arXiv:1804.11188, eq. 16.
  """
  if isinstance(chrono_t_max, (int, float)) and not (
    chrono_t_max == 0 or chrono_t_max >= 3
  ):
    raise arguments.ArgumentError(
      f'chrono_t_max={chrono_t_max} is neither 0 nor at least 3'
    )
  chrono = jnp.asarray(chrono_t_max, jnp.result_type(float)) > 0
  longest = jnp.maximum(chrono_t_max - 1.0, 1.0)
  spread = jax.random.uniform(key, (hidden_features,)) * (longest - 1.0) + 1.0
  forget = jnp.where(chrono, jnp.log(spread), forget_bias)
  inputs = jnp.where(jnp.logical_or(chrono, coupled), -forget, 0.0)
  zeros = jnp.zeros((hidden_features,))
  return jnp.concatenate((inputs, forget, zeros, zeros))
