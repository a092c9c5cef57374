"""The simple RNN by the largest singular value of its recurrent matrix."""

from collections.abc import Sequence
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lstm_variants.cells import echo_state, simple_rnn
from lstm_variants.evidence.gradient_flow import jacobians
from lstm_variants.models.architecture import Architecture

# What is random in `SingularValues`, and whether its units saturate.
MATRICES = ('orthogonal', 'Gaussian')
REGIMES = ('linear', 'tanh')
# Steps before the first one, in which a state forgets where it began.
SETTLE = 50


class SingularValues(NamedTuple):
  """Simple RNNs by the largest singular value of their recurrent matrix.

  Attributes:
    values: σ, `[values]`.
    norms: log10 ‖∂h_{t+k}/∂h_t‖,
      `[matrices, regimes, values, seeds, lags + 1]`.
    slopes: mean of tanh′ = 1 − h², `[matrices, regimes, values, seeds]`.
    radii: spectral radius of R, `[matrices, values, seeds]`.
    input_scale: standard deviation of what drives the units of 'tanh'.
  """

  values: np.ndarray
  norms: np.ndarray
  slopes: np.ndarray
  radii: np.ndarray
  input_scale: float


def singular_value_curves(
  values: Sequence[float],
  hidden_features: int,
  lags: int,
  seeds: Sequence[int],
  input_scale: float,
) -> SingularValues:
  """Return the lag norms of simple RNNs whose R has a given largest one.

      R = σ Q       Q a random orthogonal matrix: every singular value is σ,
                    ‖R^k‖ = σ^k exactly
      R = σ G/‖G‖   G Gaussian: only the largest one is σ. The spectral radius,
                    which ‖R^k‖ follows in the long run, is about σ/2, so that
                    a σ above 1 may well vanish: σ < 1 is enough for that,
                    σ > 1 is needed, not enough, for explosion

  each without saturation (states and inputs zero, so that J = Rᵀ) and with it:
  the units are driven by N(0, input_scale²), and J = Rᵀ diag(1 − h²) is the
  smaller the more they saturate. Equal seeds have equal Q, G and inputs.

  Args:
    values: σ, each above 0.
    hidden_features: H.
    lags: the largest k, in steps.
    seeds: of the matrices and inputs.
    input_scale: standard deviation of what drives each unit.

  Raises:
    ValueError: no σ or no seed, or one that is not above 0.

  Reference:
    Pascanu, Mikolov & Bengio, ICML 2013, arXiv:1211.5063, section 2.1.
  """
  if not len(values) or not len(seeds) or not np.all(np.asarray(values) > 0):
    raise ValueError(
      f'values={list(values)}, seeds={list(seeds)}: at least one of each, and '
      'values above 0'
    )
  keys = jnp.stack([jax.random.key(seed) for seed in seeds])

  of_seed = functools.partial(_of_seed, hidden_features, lags, input_scale)
  over_seeds = jax.vmap(of_seed, in_axes=(0, None))
  grid = jax.jit(jax.vmap(over_seeds, in_axes=(None, 0)))
  # [value, seed, matrix, ...] -> [matrix, ..., value, seed, ...]
  norms, slopes, radii = map(np.asarray, grid(keys, jnp.asarray(values, float)))
  return SingularValues(
    values=np.asarray(values, float),
    norms=norms.transpose(2, 3, 0, 1, 4),
    slopes=slopes.transpose(2, 3, 0, 1),
    radii=radii.transpose(2, 0, 1),
    input_scale=float(input_scale),
  )


def _of_seed(
  size: int, lags: int, input_scale: float, key: jax.Array, value: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Return norms and slopes, `[matrices, regimes, ...]`, and radii."""
  orthogonal_key, normal_key, inputs_key = jax.random.split(key, 3)
  orthogonal = jax.random.orthogonal(orthogonal_key, size)
  normal = jax.random.normal(normal_key, orthogonal.shape)
  normal = normal / jnp.linalg.norm(normal, ord=2)
  matrices = value * jnp.stack((orthogonal, normal))
  drive = input_scale * jax.random.normal(inputs_key, (SETTLE + lags + 1, size))
  regimes = jnp.stack((jnp.zeros_like(drive), drive))
  over_regimes = jax.vmap(_driven, in_axes=(None, 0))
  norms, slopes = jax.vmap(over_regimes, in_axes=(0, None))(matrices, regimes)
  return norms, slopes, jax.vmap(echo_state.spectral_radius)(matrices)


def _driven(matrix: jax.Array, drive: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Return lag norms, and the mean of 1 − h², of one simple RNN."""
  size = len(matrix)
  architecture = Architecture('simple_rnn', 1, size, size, 1)
  layer = simple_rnn.Params(jnp.eye(size), matrix, jnp.zeros(size))
  readout = {'kernel': jnp.zeros((size, 1)), 'bias': jnp.zeros(1)}
  params = {'layers': (layer,), 'readout': readout}
  norms = jacobians.lag_norms(params, architecture, None, drive[None], SETTLE)
  _, hiddens = simple_rnn.unroll(layer, None, drive[None])
  return norms['h'][:, 0], jnp.mean(1 - jnp.square(hiddens[:, SETTLE:]))
