"""The real-gated linear recurrent unit of Griffin: decay that the input gates.

    v  = x W + b                        of H units
    r  = σ(v W_r + b_r)                 recurrence gate
    i  = σ(v W_i + b_i)                 input gate
    a  = σ(Λ)^(c r)                     c = 8
    h' = a ⊙ h + √(1 − a²) ⊙ i ⊙ v

a is computed by its logarithm, −c r softplus(−Λ), and 1 − a² from that, so that
neither loses what sets a apart from 1. Where r is shut a is 1: the unit keeps
its state, and takes nothing in. W_r and W_i are block-diagonal: a gate sees the
units of its own head only, H / heads; with heads = 1 they are full.

In the paper v comes from a convolution over four steps, and h is multiplied by
a second branch of the layer; this is the recurrence alone, with a projection to
H units, and the readout follows h. Their code writes −Λ for Λ, has a factor of
1 in place of √(1 − a²) at the first step of a sequence, and clips the
derivative of the root, which grows without bounds as r shuts; that of r falls
with it, and here nothing is clipped. With parallel all steps are made at once
(`linear`).

At first σ(Λ)² ~ U[0.9², 0.999²], as in the code, where the paper has σ(Λ)^c ~
U[0.9, 0.999]; biases are 0, so that a begins near σ(Λ)⁴.
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp

from lstm_variants.cells import contract, initializers, linear
from lstm_variants.cells.minimal import advance, every
from lstm_variants.cells.simple_rnn import init_carry

# c, and between which σ(Λ) lies at first.
_STEEPNESS, _RADII = 8.0, (0.9, 0.999)


class Settings(NamedTuple):
  """Settings of the cell.

  Attributes:
    heads: blocks of the matrices of gates; divides hidden_features.
    parallel: all steps at once, instead of one after another.
  """

  heads: int = 1
  parallel: bool = False


class Params(NamedTuple):
  """Parameters of the cell.

  Attributes:
    kernel: W, `[F, H]`.
    bias: b, `[H]`.
    gate_kernel: W_r and W_i of each head, `[heads, D, 2D]`, D = H / heads.
    gate_bias: b_r and b_i, `[2H]`.
    decay: Λ, `[H]`.
  """

  kernel: jax.Array
  bias: jax.Array
  gate_kernel: jax.Array
  gate_bias: jax.Array
  decay: jax.Array


def check(settings: Settings, hidden_features: int) -> None:
  """Refuse heads that do not divide the units.

  Raises:
    SettingError: the rule and the nearest valid choice.
  """
  contract.check_divides('heads', settings.heads, hidden_features)


def init(
  key: jax.Array,
  in_features: int,
  hidden_features: int,
  settings: Settings,
  options: contract.Init,
) -> Params:
  """Draw the parameters of a cell; the gates' weights as input weights of D.

  Raises:
    SettingError: heads that do not divide the units.
    ValueError: an unknown `recurrent_init`.
  """
  check(settings, hidden_features)
  heads, dtype = settings.heads, options.dtype
  draw, _ = initializers.find(options.recurrent_init)
  kernel_key, gate_key, decay_key = (
    jax.random.fold_in(key, leaf) for leaf in range(3)
  )
  size = hidden_features // heads
  keys = jax.random.split(gate_key, (heads, 2))
  blocks = jax.vmap(jax.vmap(lambda k: draw(k, (size, size), dtype)))(keys)
  low, high = (radius**2 for radius in _RADII)
  area = jax.random.uniform(
    decay_key, (hidden_features,), minval=low, maxval=high
  )
  # The inverse of the sigmoid: σ(Λ) = √area.
  decay = -jnp.log(jnp.expm1(-0.5 * jnp.log(area)))
  return Params(
    kernel=draw(kernel_key, (in_features, hidden_features), dtype),
    bias=jnp.zeros(hidden_features, dtype),
    # [heads, 2, D, D] -> [heads, D, 2D]
    gate_kernel=jnp.swapaxes(blocks, 1, 2).reshape(heads, size, 2 * size),
    gate_bias=jnp.zeros(2 * hidden_features, dtype),
    decay=decay.astype(dtype),
  )


def project(
  params: Params, settings: Settings, inputs: jax.Array
) -> tuple[jax.Array, jax.Array]:
  """Return a and what enters, √(1 − a²) ⊙ i ⊙ v, `[..., H]` each."""
  gates = reveal(params, settings, inputs)
  # 1 − a², where a may be 1: the root of 0 has no gradient, and needs none.
  left = -jnp.expm1(2 * _log_decay(params, gates.values['r']))
  open_ = left > 0
  root = jnp.where(open_, jnp.sqrt(jnp.where(open_, left, 1)), 0)
  return gates.keep, root * gates.values['i'] * gates.candidate


def _log_decay(params: Params, r: jax.Array) -> jax.Array:
  """Return ln a of the recurrence gates."""
  return -_STEEPNESS * r * jax.nn.softplus(-params.decay)


def reveal(
  params: Params, settings: Settings, inputs: jax.Array
) -> contract.Gates:
  """Return the gates r and i, the candidate v and a."""
  heads, size, _ = params.gate_kernel.shape
  v = inputs @ params.kernel + params.bias
  seen = v.reshape(*v.shape[:-1], heads, size)
  gates = jnp.einsum('...hd,hde->...he', seen, params.gate_kernel)
  r, i = (
    jax.nn.sigmoid(gate.reshape(v.shape) + bias)
    for gate, bias in zip(
      jnp.split(gates, 2, axis=-1),
      jnp.split(params.gate_bias, 2),
      strict=True,
    )
  )
  return contract.Gates({'r': r, 'i': i}, v, jnp.exp(_log_decay(params, r)))


def _gates(params, settings, unused_carry, inputs):
  """Return the gates of a step; see `contract.Cell.gates`."""
  return reveal(params, settings, inputs)


CELLS: Mapping[str, contract.Cell] = {
  'rg_lru': linear.cell(
    init=init,
    init_carry=init_carry,
    project=project,
    advance=advance,
    every=every,
    gates=_gates,
    size=lambda params: params.decay.shape[0],
    summary='linear and diagonal, with decay that the input gates (Griffin)',
    reference='De et al. 2024, arXiv:2402.19427',
    settings=Settings(),
    ranges={
      'heads': contract.Range(
        1, 1024, 'groups of units with weights of their own'
      ),
      'parallel': linear.PARALLEL,
    },
    check=check,
    diagonal=True,
  )
}
