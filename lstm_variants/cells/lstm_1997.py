"""The LSTM of 1997: no forget gate, blocks of cells that share their gates.

Inputs x, cells y^c and the input and output gates y^in, y^out of the step
before feed every cell and every gate (a fully connected hidden layer). N =
H / block_size blocks have one input and one output gate each; ↑ gives to each
cell the gate of its block:

    u     = (y^c, y^in, y^out)                      of the step before
    in    = σ(x W_in + u R_in + b_in)               [N]; no b with gate_bias off
    out   = σ(x W_out + u R_out + b_out)            [N]; no b with gate_bias off
    net_c = x W_c + u R_c + b_c                     [H]; no b with cell_bias off
    s'    = s + ↑in ⊙ g(net_c)                      g(z) = 4 σ(z) − 2
    y^c'  = ↑out ⊙ h(s')                            h(z) = 2 σ(z) − 1

With `recurrent` off there is no u R; with `output_gate` off out is 1; with
`output_activation` off h(z) is z. All three are off in experiments 2a and 2b,
whose 10,504 weights leave room for the inputs' alone: 101 inputs to 101
outputs, to the input gate and to the cell, and from the cell to the outputs.

In the carry s is `c` and y^c is `h`. With truncated_gradient u is a constant of
the gradient: what reaches net_c, in and out changes the weights into them and
goes no further back in time; only s carries the gradient back, undiminished.
The gradient of this step's x, which the layers below need, is kept (the paper
has one hidden layer, and cuts that too).

At first every weight and bias is U[−0.1, 0.1], but b_in of block n = 1 … N,
which is −6 n / N against a drift of the state: −3, −6 of experiment 4 and
−2, −4, −6 of experiment 6b. The paper's other values are, it says, as good.

The paper contradicts itself on the ranges: sections 5.1 to 5.6 and equations 4
and 5 give g [−2, 2] and h [−1, 1], which is what is here; the caption of table
10 has them the other way round. Its appendix has inputs of the step before;
section 5 says that the experiments used those of this step, as here.
"""

from collections.abc import Mapping
import types
from typing import NamedTuple

import jax
from jax import lax
import jax.numpy as jnp

from lstm_variants.cells import contract, products
from lstm_variants.cells.products import SIGMOID

# Largest |weight| at first, and the input gates' most negative bias.
SPREAD = 0.1
SHUT = -6.0
# 2 σ(z) − 1 = tanh(z / 2), which loses no digits near zero.
_HALF = products.Activation(1.0, 0.5, 0.0, 0.0)


class Settings(NamedTuple):
  """Settings of the cell.

  Attributes:
    block_size: cells that share an input and an output gate; it divides H.
    cell_bias: cells have biases.
    gate_bias: gates have biases.
    truncated_gradient: only the cells' states carry the gradient back in time.
    recurrent: cells and gates feed cells and gates.
    output_gate: blocks have one.
    output_activation: what a cell puts out is squashed; else it is its state.
  """

  block_size: int = 1
  cell_bias: bool = True
  gate_bias: bool = True
  truncated_gradient: bool = False
  recurrent: bool = True
  output_gate: bool = True
  output_activation: bool = True

  @property
  def gates(self) -> int:
    """The number of gates of a block."""
    return 1 + self.output_gate


class Params(NamedTuple):
  """Parameters of the cell; the rows of R are those of y^c, y^in and y^out.

  Without output gates there is N in place of 2N.

  Attributes:
    kernel: input weights of the cells W_c, `[F, H]`.
    gate_kernel: those of the gates, W_in and W_out, `[F, 2N]`.
    recurrent_kernel: recurrent weights of the cells R_c, `[H + 2N, H]`; None
      where they are not recurrent.
    gate_recurrent_kernel: R_in and R_out, `[H + 2N, 2N]`; None likewise.
    cell_bias: b_c, `[H]`; None where off.
    gate_bias: b_in and b_out, `[2N]`; None where off.
  """

  kernel: jax.Array
  gate_kernel: jax.Array
  recurrent_kernel: jax.Array | None
  gate_recurrent_kernel: jax.Array | None
  cell_bias: jax.Array | None
  gate_bias: jax.Array | None


class Carry(NamedTuple):
  """What one step hands to the next.

  Attributes:
    c: the cells' states s, `[..., H]`.
    h: the cells' outputs y^c, `[..., H]`.
    gates: y^in and y^out, `[..., 2N]`; of y^in alone `[..., N]`.
  """

  c: jax.Array
  h: jax.Array
  gates: jax.Array


def init(
  key: jax.Array,
  in_features: int,
  hidden_features: int,
  settings: Settings,
  options: contract.Init,
) -> Params:
  """Draw the parameters of a cell: all but b_in are U[−0.1, 0.1].

  Raises:
    SettingError: a `block_size` that does not divide H.

  Reference:
    Hochreiter & Schmidhuber, Neural Computation 9(8), 1997, section 5.4.
  """
  check(settings, hidden_features)
  dtype = options.dtype
  blocks = hidden_features // settings.block_size
  gates = settings.gates * blocks
  units = hidden_features + gates

  def draw(leaf: int, *shape: int) -> jax.Array:
    leaf_key = jax.random.fold_in(key, leaf)
    return jax.random.uniform(leaf_key, shape, dtype, -SPREAD, SPREAD)

  shut = SHUT * jnp.arange(1, blocks + 1) / blocks
  shut = shut.astype(dtype)
  if settings.output_gate:
    shut = jnp.concatenate((shut, draw(5, blocks)))
  recurrent = settings.recurrent
  return Params(
    kernel=draw(0, in_features, hidden_features),
    gate_kernel=draw(1, in_features, gates),
    recurrent_kernel=draw(2, units, hidden_features) if recurrent else None,
    gate_recurrent_kernel=draw(3, units, gates) if recurrent else None,
    cell_bias=draw(4, hidden_features) if settings.cell_bias else None,
    gate_bias=shut if settings.gate_bias else None,
  )


def init_carry(
  settings: Settings,
  batch_shape: tuple[int, ...],
  hidden_features: int,
  dtype: jnp.dtype = jnp.float32,
) -> Carry:
  """Return the zero carry."""
  check(settings, hidden_features)
  cells = jnp.zeros((*batch_shape, hidden_features), dtype)
  gates = settings.gates * (hidden_features // settings.block_size)
  return Carry(cells, cells, jnp.zeros((*batch_shape, gates), dtype))


def project(params: Params, settings: Settings, inputs: jax.Array) -> jax.Array:
  """Return x W + b of the cells and of the gates, `[..., H + 2N]`."""
  del settings
  biases = [
    jnp.zeros_like(kernel[0]) if bias is None else bias
    for kernel, bias in (
      (params.kernel, params.cell_bias),
      (params.gate_kernel, params.gate_bias),
    )
  ]
  kernel = jnp.concatenate((params.kernel, params.gate_kernel), axis=-1)
  return inputs @ kernel + jnp.concatenate(biases)


def reveal(
  params: Params,
  settings: Settings,
  carry: Carry,
  projected: jax.Array,
  product: products.Product = products.product,
) -> tuple[Carry, contract.Gates]:
  """Advance by one step and return the gates of each cell, not y^c."""
  units = kernel = None
  into_cells, into_gates = params.recurrent_kernel, params.gate_recurrent_kernel
  if into_cells is not None and into_gates is not None:
    units = jnp.concatenate((carry.h, carry.gates), axis=-1)
    if settings.truncated_gradient:
      units = lax.stop_gradient(units)
    kernel = jnp.concatenate((into_cells, into_gates), axis=-1)
  # In parts of N units: the cells, then the gates.
  size = settings.block_size
  activations = (_HALF,) * size + (SIGMOID,) * settings.gates
  parts = product(units, kernel, projected, activations)
  half = jnp.concatenate(parts[:size], axis=-1)
  gates = jnp.concatenate(parts[size:], axis=-1)
  of_cells = jnp.repeat(gates, settings.block_size, axis=-1)
  gate_in, *gate_out = jnp.split(of_cells, settings.gates, axis=-1)
  c = carry.c + gate_in * 2 * half
  h = jnp.tanh(c / 2) if settings.output_activation else c
  values = {'in': gate_in}
  for gate in gate_out:
    values['out'], h = gate, gate * h
  return Carry(c, h, gates), contract.Gates(
    values, 2 * half, jnp.ones_like(c), c
  )


def check(settings: Settings, hidden_features: int) -> None:
  """Refuse blocks that do not divide the cells.

  Raises:
    SettingError: the rule, and the nearest block size that does.
  """
  contract.check_divides('block_size', settings.block_size, hidden_features)


CELLS: Mapping[str, contract.Cell] = {
  'lstm_1997': contract.stepwise(
    init=init,
    init_carry=init_carry,
    project=project,
    reveal=reveal,
    size=lambda params: params.kernel.shape[1],
    states=('c', 'h'),
    summary='blocks of cells with input and output gates, which feed all',
    reference='Hochreiter & Schmidhuber, Neural Computation 9(8), 1997',
    settings=Settings(),
    ranges=types.MappingProxyType(
      {
        'block_size': contract.Range(1, 1024, 'cells that share their gates'),
        'cell_bias': contract.Range(None, None, 'cells have biases'),
        'gate_bias': contract.Range(None, None, 'gates have biases'),
        'truncated_gradient': contract.Range(
          None, None, 'only the states carry the gradient back in time'
        ),
        'recurrent': contract.Range(
          None, None, 'cells and gates feed cells and gates'
        ),
        'output_gate': contract.Range(None, None, 'blocks have output gates'),
        'output_activation': contract.Range(
          None, None, 'what cells put out is squashed'
        ),
      }
    ),
    check=check,
    fused=True,
    initial='weights of U[-0.1, 0.1]',
  )
}
