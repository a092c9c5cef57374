"""The echo state network: a fixed random reservoir below a trained readout.

    h' = (1 − leak) ⊙ h + leak ⊙ tanh(input_scale · x W + h R + b)

leak = 1 is Jaeger's first reservoir, whose units have no memory of their own.
The leaky one has h' = (1 − a γ) h + γ tanh(…) in his paper of 2007: here a = 1
and γ = leak. R ~ N(0, 1) is scaled to the given spectral radius, its largest
|eigenvalue|, once, when it is drawn; W is U[−1, 1] and b U[−0.2, 0.2]: these
two are this project's.

No gradient reaches W, R and b: none of them counts as a parameter. An optimizer
with weight decay would still move them. `ridge_readout` fits the readout at
once, as is usual for this network; gradient descent on it works as well.
"""

from collections.abc import Mapping
import types
from typing import NamedTuple

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

from lstm_variants import arguments
from lstm_variants.cells import contract
from lstm_variants.cells.simple_rnn import Carry, init_carry

# Largest |input weight| and |bias| at first.
INPUT_SPREAD = 1.0
BIAS_SPREAD = 0.2
# A^(2^24): the error of the spectral radius is then that of rounding.
SQUARINGS = 24


class Settings(NamedTuple):
  """Settings of the cell.

  Attributes:
    spectral_radius: of R, when it is drawn.
    leak: share of a step in the new state; 1 keeps nothing of the old one.
    input_scale: of the input weights.
  """

  spectral_radius: float = 0.95
  leak: float = 1.0
  input_scale: float = 1.0


class Params(NamedTuple):
  """The reservoir; none of it is trained.

  Attributes:
    kernel: input weights W, `[F, H]`.
    recurrent_kernel: recurrent weights R, `[H, H]`.
    bias: b, `[H]`.
  """

  kernel: jax.Array
  recurrent_kernel: jax.Array
  bias: jax.Array


def init(
  key: jax.Array,
  in_features: int,
  hidden_features: int,
  settings: Settings,
  options: contract.Init,
) -> Params:
  """Draw a reservoir; see the equations of the module."""
  dtype = options.dtype
  keys = Params(*(jax.random.fold_in(key, leaf) for leaf in range(3)))

  def uniform(leaf_key, shape, bound):
    return jax.random.uniform(leaf_key, shape, dtype, -bound, bound)

  wide = jnp.promote_types(dtype, jnp.float32)
  shape = (hidden_features, hidden_features)
  matrix = jax.random.normal(keys.recurrent_kernel, shape, wide)
  matrix = matrix * (settings.spectral_radius / spectral_radius(matrix))
  return Params(
    kernel=uniform(keys.kernel, (in_features, hidden_features), INPUT_SPREAD),
    recurrent_kernel=matrix.astype(dtype),
    bias=uniform(keys.bias, (hidden_features,), BIAS_SPREAD),
  )


def spectral_radius(matrix: jax.Array) -> jax.Array:
  """Return the largest |eigenvalue| of a matrix that is not nilpotent.

  ρ = lim ‖A^n‖^(1/n) with n = 2^24: A is squared again and again, each time
  divided by its norm. `jnp.linalg.eigvals` runs on CPUs only, and a vector
  multiplied by A again and again turns for ever where ρ is of a complex pair.

  Args:
    matrix: A, `[H, H]`.

  Reference:
    Gelfand 1941 (the limit).
  """

  def square(carry, share):
    power, log_radius = carry
    norm = jnp.linalg.norm(power)
    power = power / norm
    power = jnp.matmul(power, power, precision=lax.Precision.HIGHEST)
    return (power, log_radius + share * jnp.log(norm)), None

  shares = 0.5 ** jnp.arange(SQUARINGS + 1, dtype=matrix.dtype)
  start = (matrix, jnp.zeros((), matrix.dtype))
  (_, log_radius), _ = lax.scan(square, start, shares)
  return jnp.exp(log_radius)


def project(params: Params, settings: Settings, inputs: jax.Array) -> jax.Array:
  """Return input_scale · x W + b, `[..., H]`."""
  params = lax.stop_gradient(params)
  return settings.input_scale * (inputs @ params.kernel) + params.bias


def advance(
  params: Params, settings: Settings, carry: Carry, projected: jax.Array
) -> tuple[Carry, jax.Array]:
  """Advance by one step."""
  (h,) = carry
  recurrent_kernel = lax.stop_gradient(params.recurrent_kernel)
  new = jnp.tanh(projected + h @ recurrent_kernel)
  h = (1 - settings.leak) * h + settings.leak * new
  return Carry(h), h


def count_params(
  settings: Settings, in_features: int, hidden_features: int
) -> int:
  """Count the trained parameters: there are none."""
  del settings, in_features, hidden_features
  return 0


def ridge_readout(
  hiddens: jax.typing.ArrayLike,
  targets: jax.typing.ArrayLike,
  mask: jax.typing.ArrayLike | None = None,
  penalty: float = 1e-6,
) -> dict[str, jax.Array]:
  """Fit the readout by ridge regression.

  It minimises Σ mask · ‖h K + b − y‖² + penalty · ‖K‖², in double precision, on
  the host; arguments are numbers, not traced.

  Args:
    hiddens: h, `[..., H]`.
    targets: y, `[..., O]`.
    mask: weights of the steps, `[...]`, or booleans; None for all alike.
    penalty: of the squared weights; b has none.

  Returns:
    `{'kernel': [H, O], 'bias': [O]}`, of the dtype of `hiddens`; of several
    that are as good, the smallest.

  Raises:
    ArgumentError: shapes that do not fit, a negative penalty or weight, or no
      step that counts.

  Reference:
    Lukoševičius 2012, A practical guide to applying echo state networks.
  """
  h, y = (np.asarray(a, np.float64) for a in (hiddens, targets))
  steps = h.shape[:-1]
  weights = np.ones(steps) if mask is None else np.asarray(mask, np.float64)
  if y.shape[:-1] != steps or weights.shape != steps:
    raise arguments.ArgumentError(
      f'hiddens {h.shape}, targets {y.shape} and mask {weights.shape} differ '
      'in their steps'
    )
  if penalty < 0 or (weights < 0).any() or not weights.sum() > 0:
    raise arguments.ArgumentError(
      f'penalty={penalty} or a weight of a step is negative, or no step counts'
    )
  h, y, weights = (
    h.reshape(-1, h.shape[-1]),
    y.reshape(-1, y.shape[-1]),
    (weights.reshape(-1, 1)),
  )
  # Steps that do not count may hold anything, NaN too.
  h, y = (np.where(weights > 0, a, 0.0) for a in (h, y))
  # b takes up the means. Least squares: the normal equations square the
  # condition of h.
  h_mean, y_mean = ((weights * a).sum(0) / weights.sum() for a in (h, y))
  rows = np.sqrt(weights) * (h - h_mean), np.sqrt(penalty) * np.eye(h.shape[1])
  values = np.sqrt(weights) * (y - y_mean), np.zeros((h.shape[1], y.shape[1]))
  kernel = np.linalg.lstsq(np.concatenate(rows), np.concatenate(values))[0]
  bias = y_mean - h_mean @ kernel
  dtype = jnp.asarray(hiddens).dtype
  return {
    'kernel': jnp.asarray(kernel, dtype),
    'bias': jnp.asarray(bias, dtype),
  }


CELLS: Mapping[str, contract.Cell] = {
  'echo_state': contract.stepwise(
    init=init,
    init_carry=init_carry,
    project=project,
    advance=advance,
    size=lambda params: params.recurrent_kernel.shape[0],
    count=count_params,
    summary='fixed random tanh units; only the readout is trained',
    reference='Jaeger 2001, GMD Report 148; Jaeger et al. 2007 (leak)',
    settings=Settings(),
    ranges=types.MappingProxyType(
      {
        'spectral_radius': contract.Range(0.0, 10.0, 'largest |eigenvalue|'),
        'leak': contract.Range(0.001, 1.0, 'share of a step in the state'),
        'input_scale': contract.Range(0.0, 1000.0, 'of the input weights'),
      }
    ),
    initial='a random matrix of its spectral radius',
  )
}
