"""What one step of the LSTM hands to the next."""

from typing import Any

import jax
import jax.numpy as jnp

from lstm_variants.cells.toggles import is_static, select, Toggles


@jax.tree_util.register_pytree_with_keys_class
class Carry(tuple):
  """What one step hands to the next: the pair (c, h), as in flax.

  With gate recurrence it is the triple (c, h, gates).

  Attributes:
    c: cell state, `[..., H]`.
    h: hidden state, `[..., H]`.
    gates: the last i, f, o side by side, `[..., 3H]`; None when nothing reads
      them.
  """

  __slots__ = ()

  def __new__(
    cls, c: jax.Array, h: jax.Array, gates: jax.Array | None = None
  ) -> 'Carry':
    """Make a pair, or a triple if `gates` are given."""
    return super().__new__(cls, (c, h) if gates is None else (c, h, gates))

  def __getnewargs__(self) -> tuple[jax.Array, ...]:
    return tuple(self)

  @property
  def c(self) -> jax.Array:
    """The cell state."""
    return self[0]

  @property
  def h(self) -> jax.Array:
    """The hidden state."""
    return self[1]

  @property
  def gates(self) -> jax.Array | None:
    """The last gates i, f, o, or None."""
    return self[2] if len(self) > 2 else None

  def tree_flatten_with_keys(self) -> tuple[tuple[Any, ...], None]:
    """Return the leaves by name, as the pytree contract asks."""
    keys = map(jax.tree_util.GetAttrKey, ('c', 'h', 'gates'))
    return tuple(zip(keys, self, strict=False)), None

  @classmethod
  def tree_unflatten(cls, unused_data: None, leaves) -> 'Carry':
    """Return the carry of such leaves, as the pytree contract asks."""
    return cls(*leaves)


def init_carry(
  toggles: Toggles,
  batch_shape: tuple[int, ...],
  hidden_features: int,
  dtype: jnp.dtype = jnp.float32,
) -> Carry:
  """Return the zero carry, `[*batch_shape, H]`, that `toggles` needs."""
  zeros = jnp.zeros((*batch_shape, hidden_features), dtype)
  return fit_carry(toggles, Carry(zeros, zeros))


def fit_carry(toggles: Toggles, carry: tuple[jax.Array, ...]) -> Carry:
  """Return `carry` with the gates that `gate_recurrence` reads, or without.

  Gates that are missing are zero; gates that nothing reads are dropped, or
  zero where the toggle is traced.
  """
  carry = Carry(*carry)
  recurrent = toggles.gate_recurrence
  if is_static(recurrent) and not recurrent:
    return Carry(carry.c, carry.h)
  zeros = jnp.zeros_like(
    carry.h, shape=(*carry.h.shape[:-1], 3 * carry.h.shape[-1])
  )
  gates = zeros if carry.gates is None else carry.gates
  return Carry(
    carry.c, carry.h, select(recurrent, lambda: gates, lambda: zeros)
  )
