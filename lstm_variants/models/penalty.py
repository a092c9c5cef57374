"""The penalty of Pascanu et al. on gradients that vanish or explode.

    Ω = mean over steps k, sequences and layers of
        (‖∂E/∂s_{k+1} · ∂s_{k+1}/∂s_k‖ / ‖∂E/∂s_{k+1}‖ − 1)²

s is the state of a layer: h of a simple RNN, (c, h) of an LSTM; E the loss. It
asks that the error, going one step back, keep its norm. As in the paper, its
gradient takes ∂E/∂s and s for constants: only the weights inside of one step
∂s_{k+1}/∂s_k are followed. The paper sums over k; the mean makes the weight of
the penalty mean the same at every length, as in the authors' program. Steps at
which no error arrives, ‖∂E/∂s‖² below 1e-20, do not count.

Reference: Pascanu, Mikolov & Bengio, ICML 2013, arXiv:1211.5063, eq. 9 and 10
(the norms of 10 are squared, those of 9 are not: here as in 9).
"""

from collections.abc import Callable
from typing import Any

import jax
from jax import lax
import jax.numpy as jnp

from lstm_variants import cells, models
from lstm_variants.models import probes
from lstm_variants.models.architecture import Architecture, settings_of

# ‖∂E/∂s‖² below which a step has no error to keep.
_NOTHING = 1e-20


def gradient(
  params: dict[str, Any],
  architecture: Architecture,
  toggles: Any,
  inputs: jax.Array,
  loss: Callable[[jax.Array], jax.Array],
) -> tuple[jax.Array, dict[str, Any]]:
  """Return Ω and its gradient by the parameters.

  Args:
    params: of a model, see `models.init_model`.
    architecture: of one direction, without layer normalisation, of a cell
      that is `penalised`.
    toggles: of the cell, static or traced.
    inputs: `[batch, time, in_features]`.
    loss: of the outputs `[batch, time, out_features]`; E.

  Returns:
    Ω, 0 where no error arrives anywhere, and a tree as `params`.

  Raises:
    ValueError: see `probes.check_followed`.
  """
  settings = settings_of(architecture, toggles)
  cell = cells.CELLS[architecture.cell]
  carries = models.first_carries(params, architecture, settings, inputs)
  probes.check_followed(cell, carries)
  steps = jnp.swapaxes(inputs, 0, 1)

  def probed(zeros: Any) -> tuple[jax.Array, Any]:
    outputs, followed = probes.run(
      params, architecture, settings, steps, carries, zeros
    )
    return loss(jnp.swapaxes(outputs, 0, 1)), followed

  zeros = probes.zeros(carries, len(steps))
  slopes, followed = jax.grad(probed, has_aux=True)(zeros)
  slopes, followed = lax.stop_gradient((slopes, followed))

  def omega(params: dict[str, Any]) -> jax.Array:
    layers = zip(params['layers'], followed, slopes, strict=True)
    terms = [_terms(cell, settings, *layer) for layer in layers]
    total, count = (sum(part) for part in zip(*terms, strict=True))
    return total / jnp.maximum(count, 1)

  return jax.value_and_grad(omega)(params)


def _terms(cell, settings, layer, followed, slopes):
  """Return the sum of the terms of a layer, and how many count."""
  below, states = followed
  before = jax.tree.map(lambda leaf: leaf[:-1], states)
  later = jax.tree.map(lambda leaf: leaf[1:], slopes)

  def step(state: Any) -> Any:
    return cell.step(layer, settings, state, below[1:])[0]

  _, pull_back = jax.vjp(step, before)
  (earlier,) = pull_back(later)
  arriving, leaving = _squared_norm(later), _squared_norm(earlier)
  counts = arriving > _NOTHING
  # √ has no slope at 0.
  leaving = jnp.where(counts & (leaving > 0), leaving, 1)
  ratio = jnp.sqrt(leaving / jnp.where(counts, arriving, 1))
  ratio = jnp.where(_squared_norm(earlier) > 0, ratio, 0)
  terms = jnp.where(counts, jnp.square(ratio - 1), 0)
  return jnp.sum(terms), jnp.sum(counts)


def _squared_norm(state: Any) -> jax.Array:
  """Return ‖s‖², `[time, batch]`, over all that a state has."""
  return sum(
    (jnp.sum(jnp.square(leaf), axis=-1) for leaf in jax.tree.leaves(state)),
    start=jnp.zeros(()),
  )
