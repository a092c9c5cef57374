"""What is put around a cell against vanishing gradients and overfitting.

    layer normalisation   LN(z; α) = α ⊙ (z − mean z) / √(var z + ε)
    zoneout               c_t = d_c ⊙ c_{t-1} + (1 − d_c) ⊙ ĉ_t, likewise h
    recurrent dropout     c_t = f ⊙ c_{t-1} + i ⊙ d ⊙ g / (1 − p)

d is drawn for each step, sequence and unit; ĉ, ĥ are what the cell computes, ĥ
from ĉ and not from c. At test time d_c and d_h are their means, and recurrent
dropout is off.

Reference: Ba, Kiros & Hinton 2016, arXiv:1607.06450; Krueger et al., ICLR 2017,
arXiv:1606.01305 (zoneout); Semeniuta, Severyn & Barth, COLING 2016,
arXiv:1603.05118 (recurrent dropout).
"""

from typing import Any, NamedTuple

import jax
from jax import lax
import jax.numpy as jnp

from lstm_variants.cells import stacks

# Added to the variance.
_EPSILON = 1e-5


class Gains(NamedTuple):
  """Parameters of layer normalisation; what a cell has no use for is None.

  Attributes:
    inputs: α of x W, or of x W + h R, `[n·H]`.
    recurrent: α of h R, `[n·H]`.
    state: α of c, `[H]`.
    state_bias: added to the normalised c, `[H]`.
  """

  inputs: jax.Array
  recurrent: jax.Array | None
  state: jax.Array | None
  state_bias: jax.Array | None


class Form(NamedTuple):
  """Which gains a cell has.

  Attributes:
    blocks: n, how many arrays of the hidden size are normalised together.
    recurrent: x W and h R are normalised each by itself, else their sum.
    state: c is normalised too.
  """

  blocks: int
  recurrent: bool
  state: bool


class Noise(NamedTuple):
  """What is drawn at random in training.

  Attributes:
    key: a PRNG key; None at test time.
    zoneout_c: the probability that a cell state stays as it was.
    zoneout_h: that of a hidden state.
    recurrent_dropout: the probability that a candidate is dropped.
  """

  key: jax.Array | None
  zoneout_c: float | jax.Array
  zoneout_h: float | jax.Array
  recurrent_dropout: float | jax.Array


def normalise(
  z: jax.Array, gain: jax.Array | None, bias: jax.Array | None = None
) -> jax.Array:
  """Return α (z − mean) / √(var + ε) over the last axis, plus `bias`.

  In at least 32 bits; a gain None is left out.
  """
  wide = z.astype(jnp.promote_types(z.dtype, jnp.float32))
  centred = wide - jnp.mean(wide, axis=-1, keepdims=True)
  variance = jnp.mean(jnp.square(centred), axis=-1, keepdims=True)
  normal = (centred * lax.rsqrt(variance + _EPSILON)).astype(z.dtype)
  normal = normal if gain is None else normal * gain
  return normal if bias is None else normal + bias


def init_gains(form: Form, size: int, dtype: jnp.dtype) -> Gains:
  """Return gains 1 and biases 0 for H = `size`."""
  ones = jnp.ones((form.blocks * size,), dtype)
  state = jnp.ones((size,), dtype) if form.state else None
  bias = jnp.zeros((size,), dtype) if form.state else None
  return Gains(ones, ones if form.recurrent else None, state, bias)


def count_gains(form: Form, size: int) -> int:
  """Return how many parameters layer normalisation has in a cell."""
  shapes = jax.eval_shape(lambda: init_gains(form, size, jnp.dtype('float32')))
  return sum(leaf.size for leaf in jax.tree.leaves(shapes))


def unroll(
  cell: Any,
  params: Any,
  settings: Any,
  inputs: jax.Array,
  carry: Any,
  steps: jax.Array | None,
  mask: jax.Array | None,
  gains: Gains | None,
  noise: Noise | None,
) -> tuple[Any, jax.Array]:
  """Run a cell with its remedies over `[time, batch, F]`.

  Args:
    cell: a `contract.Cell`.
    params: of the cell.
    settings: of the cell.
    inputs: x.
    carry: the state before the first step.
    steps: the number of each step, `[time]`, from which follows what is drawn;
      None without noise.
    mask: `[time, batch]` or None; see `lstm.unroll`.
    gains: of layer normalisation; None: off.
    noise: None: off.

  Returns:
    The carry after the last step and the hidden states, `[time, batch, H]`.
  """
  inputs = inputs if mask is None else jnp.where(mask[..., None], inputs, 0)

  def body(carry, xs):
    x_t, step, mask_t = xs
    if cell.with_remedies is None:
      new, _ = cell.step(params, settings, carry, x_t)
    else:
      keep = _candidates(noise, step, carry.h)
      new, _ = cell.with_remedies(params, settings, carry, x_t, gains, keep)
    new = _zone_out(cell, noise, step, carry, stacks.cast(new, carry))
    carry = stacks.hold(mask_t, new, carry)
    return carry, carry.h

  return lax.scan(body, carry, (inputs, steps, mask))


def _candidates(
  noise: Noise | None, step: jax.Array, h: jax.Array
) -> jax.Array | None:
  """Return d / (1 − p), `[batch, H]`; None where nothing is dropped."""
  if noise is None or noise.key is None:
    return None
  kept = 1 - jnp.asarray(noise.recurrent_dropout, jnp.float32)
  key = jax.random.fold_in(jax.random.fold_in(noise.key, step), 2)
  drawn = jax.random.bernoulli(key, kept, h.shape)
  return jnp.where(drawn, 1 / kept, 0).astype(h.dtype)


def _zone_out(
  cell: Any, noise: Noise | None, step: jax.Array, old: Any, new: Any
) -> Any:
  """Return the carry of which a share stays as it was."""
  if noise is None:
    return new
  zoned = {}
  for stream, name in enumerate(('c', 'h')):
    if name not in cell.zones:
      continue
    before, after = getattr(old, name), getattr(new, name)
    # A small share would be rounded in half precision.
    share = jnp.asarray(getattr(noise, f'zoneout_{name}'), jnp.float32)
    if noise.key is not None:
      key = jax.random.fold_in(jax.random.fold_in(noise.key, step), stream)
      share = jax.random.bernoulli(key, share, after.shape)
    share = share.astype(after.dtype)
    zoned[name] = share * before + (1 - share) * after
  return replace(new, **zoned)


def replace(carry: Any, **states: jax.Array) -> Any:
  """Return a carry with other states."""
  if hasattr(carry, '_replace'):
    return carry._replace(**states)
  return type(carry)(states['c'], states['h'], carry.gates)  # of an LSTM
