"""The coupled oscillatory network: each unit is a driven, damped oscillator.

    z' = z + Δt (tanh(x W + h R + z S + b) − γ h − ε z)
    h' = h + Δt z'

h is where an oscillator is and z how fast it moves, both zero at first. It is
y″ = tanh(…) − γ y − ε y′ in steps of Δt = time_step: h sees the new z, and the
damping the old one, as in the authors' code; in the paper's first form it sees
the new one too. γ is the stiffness, an oscillator left alone takes 2π / √γ for
a turn, and ε is the damping.

The paper searches Δt, γ and ε for each task; the default settings are those of
its code for permuted digits, and 0.06, 66 and 15 are those for adding.
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp

from lstm_variants.cells import contract, initializers, products
from lstm_variants.cells.products import TANH


class Settings(NamedTuple):
  """Settings of the cell.

  Attributes:
    time_step: Δt.
    stiffness: γ.
    damping: ε.
  """

  time_step: float = 0.076
  stiffness: float = 0.4
  damping: float = 8.0


class Params(NamedTuple):
  """Parameters of the cell.

  Attributes:
    kernel: input weights W, `[F, H]`.
    recurrent_kernel: R and, below it, S, `[2H, H]`.
    bias: b, `[H]`.
  """

  kernel: jax.Array
  recurrent_kernel: jax.Array
  bias: jax.Array


class Carry(NamedTuple):
  """The state of the cell, `[..., H]` each.

  Attributes:
    z: velocity.
    h: position, the hidden state.
  """

  z: jax.Array
  h: jax.Array


def init(
  key: jax.Array,
  in_features: int,
  hidden_features: int,
  settings: Settings,
  options: contract.Init,
) -> Params:
  """Draw the parameters of a cell; see `contract.Init`.

  Raises:
    ValueError: an unknown `recurrent_init`.
  """
  del settings
  dtype, size = options.dtype, hidden_features
  inputs, recurrent = initializers.find(options.recurrent_init)
  keys = [jax.random.fold_in(key, leaf) for leaf in range(3)]
  blocks = [recurrent(one, (size, size), dtype) for one in keys[1:]]
  return Params(
    inputs(keys[0], (in_features, size), dtype),
    jnp.concatenate(blocks),
    jnp.zeros(size, dtype),
  )


def init_carry(
  settings: Settings,
  batch_shape: tuple[int, ...],
  hidden_features: int,
  dtype: jnp.dtype = jnp.float32,
) -> Carry:
  """Return the zero carry, `[*batch_shape, H]` each."""
  del settings
  return Carry(*jnp.zeros((2, *batch_shape, hidden_features), dtype))


def project(params: Params, settings: Settings, inputs: jax.Array) -> jax.Array:
  """Return x W + b, `[..., H]`."""
  del settings
  return inputs @ params.kernel + params.bias


def advance(
  params: Params,
  settings: Settings,
  carry: Carry,
  projected: jax.Array,
  product: products.Product = products.product,
) -> tuple[Carry, jax.Array]:
  """Advance by one step: the equations of the module."""
  z, h = carry
  seen = jnp.concatenate((h, z), axis=-1)
  (force,) = product(seen, params.recurrent_kernel, projected, (TANH,))
  force = force - settings.stiffness * h - settings.damping * z
  z = z + settings.time_step * force
  h = h + settings.time_step * z
  return Carry(z, h), h


CELLS: Mapping[str, contract.Cell] = {
  'cornn': contract.stepwise(
    init=init,
    init_carry=init_carry,
    project=project,
    advance=advance,
    size=lambda params: params.bias.shape[0],
    summary='coupled oscillators, driven and damped',
    reference='Rusch & Mishra 2021, arXiv:2010.00951',
    settings=Settings(),
    ranges={
      'time_step': contract.Range(0.0001, 1.0, 'length of a step, at most'),
      'stiffness': contract.Range(0.0, 1000.0, 'γ, that draws units to zero'),
      'damping': contract.Range(0.0, 1000.0, 'ε, that slows units down'),
    },
    fused=True,
  )
}
