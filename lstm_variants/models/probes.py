"""Runs of a model with a probe, zeros, added to every state after every step.

    s_{t+1} = step(s_t, x_{t+1}) + ε_{t+1}        ∂E/∂ε_t = ∂E/∂s_t at ε = 0

s is what a layer hands to its next step: h of a simple RNN, (c, h) of an LSTM.
One backward pass by the probes gives the gradient by every state of the run.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
from jax import lax
import jax.numpy as jnp

from lstm_variants import arguments, cells
from lstm_variants.cells import contract, remedies, stacks
from lstm_variants.models.architecture import Architecture, embed, read_out

# (carry, inputs, number of the step, mask) -> carry.
Step = Callable[[Any, jax.Array, jax.Array, jax.Array | None], Any]


class Followed(NamedTuple):
  """What a layer was given and what it made of it.

  Attributes:
    inputs: `[time, batch, features]`; of the first layer the embedding.
    states: after each step, a carry of `[time, batch, ...]`.
  """

  inputs: jax.Array
  states: Any


def zeros(carries: Sequence[Any], time: int) -> tuple[Any, ...]:
  """Return the probes of a run, a carry of `[time, batch, ...]` per layer."""
  return tuple(stacks.zeros(time, carry) for carry in carries)


def check_named(cell: contract.Cell) -> None:
  """Refuse a cell whose carry does not name its states, h among them.

  Raises:
    ArgumentError: what, the rule, the nearest choice.
  """
  if 'h' not in cell.shown:
    raise arguments.ArgumentError(
      f'the carry of this cell ({cell.summary}) does not name its states; '
      'nearest: a NamedTuple with the field h that step returns'
    )


def check_followed(cell: contract.Cell, carries: Sequence[Any]) -> None:
  """Refuse carries through which no gradient can be followed.

  Raises:
    ArgumentError: a cell whose carry does not name its states, or holds
      integers.
  """
  check_named(cell)
  for path, leaf in jax.tree_util.tree_leaves_with_path(carries[0]):
    if not jnp.issubdtype(leaf.dtype, jnp.floating):
      raise arguments.ArgumentError(
        f'{jax.tree_util.keystr(path, simple=True)} in the carry of this cell '
        f'({cell.summary}) is {leaf.dtype}, which has no gradient; nearest: '
        'the dtype that init_carry is given'
      )


def states_of(cell: contract.Cell, carry: Any) -> dict[str, Any]:
  """Return name -> state: the fields of a carry but counters and empty ones.

  Raises:
    ArgumentError: a carry that does not name its states.
  """
  check_named(cell)
  named = {
    path[-1].name: leaf
    for path, leaf in jax.tree_util.tree_leaves_with_path(carry)
  }
  return {
    name: leaf
    for name, leaf in named.items()
    if name not in cell.counters and leaf.size
  }


def run(
  params: dict[str, Any],
  architecture: Architecture,
  settings: Any,
  inputs: jax.Array,
  carries: Sequence[Any],
  probes: Sequence[Any],
  *,
  mask: jax.Array | None = None,
  noise: remedies.Noise | None = None,
  own_step: bool = True,
) -> tuple[jax.Array, tuple[Followed, ...]]:
  """Run the layers of one direction step by step, with probes.

  Args:
    params: of a model, see `models.init_model`.
    architecture: static, not bidirectional.
    settings: of the cell.
    inputs: `[time, batch, in_features]`, zero at steps that are left out.
    carries: before the first step, one per layer.
    probes: from `zeros`.
    mask: None, or boolean `[time, batch]`; see `lstm.unroll`. The probe of a
      step that is left out is added all the same, to the state that is held.
    noise: None, or zoneout and recurrent dropout.
    own_step: what is above the layer sees the probe of h at the step of the
      probe too; otherwise the layer's next step is the first to see it.

  Returns:
    The outputs, `[time, batch, out_features]`, and what each layer did.

  Raises:
    ArgumentError: see `check_followed`.
  """
  check_followed(cells.CELLS[architecture.cell], carries)
  numbers = jnp.arange(len(inputs))
  followed, first = [], embed(params, inputs)
  hiddens = first
  for layer, (carry, probe) in enumerate(zip(carries, probes, strict=True)):
    step = step_of(params, architecture, settings, layer, noise)

    def body(carry, xs, step=step):
      *of_step, probe = xs
      new = step(carry, *of_step)
      moved = jax.tree.map(jnp.add, new, probe)
      return moved, (moved, moved.h if own_step else new.h)

    below = hiddens
    _, (states, hiddens) = lax.scan(body, carry, (below, numbers, mask, probe))
    if architecture.residual and layer:
      hiddens = hiddens + below
    followed.append(Followed(below, states))
  return read_out(params, first, hiddens), tuple(followed)


def step_of(
  params: dict[str, Any],
  architecture: Architecture,
  settings: Any,
  layer: int,
  noise: remedies.Noise | None = None,
) -> Step:
  """Return one step of a layer as the model makes it, remedies and all.

  Args:
    params: of a model.
    architecture: static, not bidirectional.
    settings: of the cell.
    layer: counted from the inputs, from 0.
    noise: None, or zoneout and recurrent dropout.
  """
  cell, of_layer = cells.CELLS[architecture.cell], params['layers'][layer]
  if noise is None and not architecture.layer_norm:

    def plain(carry, inputs, number, mask):
      del number
      new, _ = cell.step(of_layer, settings, carry, inputs)
      return stacks.settle(mask, new, carry)

    return plain
  gains = params['gains'][layer] if architecture.layer_norm else None
  if noise is not None and noise.key is not None:
    # As in a model: of each layer and direction its own.
    noise = noise._replace(key=jax.random.fold_in(noise.key, 2 * layer))

  def remedied(carry, inputs, number, mask):
    one = jax.tree.map(lambda x: x[None], (inputs, number, mask))
    x, numbers, masks = one
    carry, _ = remedies.unroll(
      cell, of_layer, settings, x, carry, numbers, masks, gains, noise
    )
    return carry

  return remedied
