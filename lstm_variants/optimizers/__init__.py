"""Optimizers: how gradients become changes of the parameters.

    register_optimizer('sign_sgd', Optimizer(
      lambda options: optax.sign_sgd(options['learning_rate']),
      'the sign of the gradient', 'Bernstein et al., ICML 2018',
      elementwise=True))

Each is an entry of `OPTIMIZERS`: what makes it, and the fields that it reads.
θ are parameters, g their gradient, η the learning rate (`schedules`), λ
`weight_decay`, which is decoupled: θ shrinks by η λ θ whatever the gradient.
"""

from collections.abc import Iterator
import functools
from typing import Any

import jax
import optax
import optax.contrib

from lstm_variants import registry
from lstm_variants.config.fields import Field
from lstm_variants.optimizers import rows
from lstm_variants.optimizers.optimizer import check, Options
from lstm_variants.optimizers.optimizer import Optimizer as Optimizer
from lstm_variants.optimizers.schedules import Schedule as Schedule
from lstm_variants.optimizers.schedules import SCHEDULES as SCHEDULES

_MOMENTS = ('optimizer.b1', 'optimizer.b2', 'optimizer.eps')
_DECAY = 'optimizer.weight_decay'


def _adam(options: Options) -> optax.GradientTransformation:
  """Make θ ← θ − η m̂ / (√v̂ + ε); m, v are means of g, g² with b1, b2."""
  return optax.adam(
    options['learning_rate'],
    b1=options['b1'],
    b2=options['b2'],
    eps=options['eps'],
  )


def _adamw(options: Options) -> optax.GradientTransformation:
  """Make θ ← θ − η (m̂ / (√v̂ + ε) + λ θ)."""
  return optax.adamw(
    options['learning_rate'],
    b1=options['b1'],
    b2=options['b2'],
    eps=options['eps'],
    weight_decay=options['weight_decay'],
  )


def _rmsprop(options: Options) -> optax.GradientTransformation:
  """Make u ← μ u + η g / √(v + ε), θ ← θ − u; v is a mean of g² with b2."""
  return optax.rmsprop(
    options['learning_rate'],
    decay=options['b2'],
    eps=options['eps'],
    momentum=options['momentum'],
  )


def _sgd(options: Options) -> optax.GradientTransformation:
  """Make u ← g + μ u, θ ← θ − η u; with Nesterov's, θ ← θ − η (g + μ u)."""
  return optax.sgd(
    options['learning_rate'],
    momentum=options['momentum'],
    nesterov=options['nesterov'],
  )


def _adagrad(options: Options) -> optax.GradientTransformation:
  """Make v ← v + g², θ ← θ − η g / √(v + ε)."""
  return optax.adagrad(
    options['learning_rate'],
    initial_accumulator_value=options['first_accumulator'],
    eps=options['eps'],
  )


def _adafactor(options: Options) -> optax.GradientTransformation:
  """Make θ ← θ − η max(10⁻³, rms θ) u / max(1, rms u), u = g / √v.

  v is a mean of g² with 1 − (t + 1)^−0.8. Of a matrix with two sides of
  `factored_from` or more it is r cᵀ / mean r, of the means r of its rows and c
  of its columns.
  """
  return optax.adafactor(
    options['learning_rate'], min_dim_size_to_factor=options['factored_from']
  )


def _lion(options: Options) -> optax.GradientTransformation:
  """Make θ ← θ − η (sign(b1 m + (1 − b1) g) + λ θ); m is a mean with b2."""
  return optax.lion(
    options['learning_rate'],
    b1=options['b1'],
    b2=options['b2'],
    weight_decay=options['weight_decay'],
  )


def _lamb(options: Options) -> optax.GradientTransformation:
  """Make θ ← θ − η ‖θ‖ / ‖u‖ u, u = m̂ / (√v̂ + ε) + λ θ, for each array.

  Where one of the norms is 0, their ratio counts as 1.
  """
  return optax.lamb(
    options['learning_rate'],
    b1=options['b1'],
    b2=options['b2'],
    eps=options['eps'],
    weight_decay=options['weight_decay'],
  )


def _muon(options: Options) -> optax.GradientTransformation:
  """Make θ ← θ − η (√max(1, columns / rows) O(m) + λ θ) for each matrix.

  m is Nesterov's mean of g with `muon_momentum`, and O(m) = U S V^T has the
  singular vectors of m and singular values near 1, by five steps of a
  Newton-Schulz iteration. Matrices are the kernels of the layers, the gates of
  one side by side; all else, readout and embedding among it, is AdamW's, with
  Nesterov's mean.
  """
  return optax.contrib.muon(
    options['learning_rate'],
    beta=options['muon_momentum'],
    eps=options['eps'],
    weight_decay=options['weight_decay'],
    adam_b1=options['b1'],
    adam_b2=options['b2'],
    adam_weight_decay=options['weight_decay'],
    muon_weight_dimension_numbers=_matrices,
  )


def _matrices(params: Any) -> Any:
  """Return which leaves Muon makes orthogonal; None for the others."""

  def of_leaf(path: tuple[Any, ...], leaf: Any) -> Any:
    names = jax.tree_util.keystr(path, simple=True, separator='/').split('/')
    if leaf.ndim == 2 and 'layers' in names and names[-1].endswith('kernel'):
      return optax.contrib.MuonDimensionNumbers()
    return None

  return jax.tree_util.tree_map_with_path(of_leaf, params)


_HOUSE = {
  'adam': Optimizer(
    _adam,
    'a step of about the learning rate in every weight',
    'Kingma & Ba, ICLR 2015, arXiv:1412.6980',
    reads=_MOMENTS,
    elementwise=True,
  ),
  'rmsprop': Optimizer(
    _rmsprop,
    'the gradient by the root of its mean square, then momentum',
    'Tieleman & Hinton 2012, Coursera lecture 6.5',
    reads=('optimizer.b2', 'optimizer.eps', 'optimizer.momentum'),
    elementwise=True,
  ),
  'sgd': Optimizer(
    _sgd,
    'the gradient, with momentum where it is asked for',
    'Sutskever, Martens, Dahl & Hinton, ICML 2013',
    reads=('optimizer.momentum', 'optimizer.nesterov'),
    elementwise=True,
  ),
  'adamw': Optimizer(
    _adamw,
    'Adam with decoupled weight decay',
    'Loshchilov & Hutter, ICLR 2019, arXiv:1711.05101',
    reads=(*_MOMENTS, _DECAY),
    elementwise=True,
  ),
  'adagrad': Optimizer(
    _adagrad,
    'the gradient by the root of the sum of its squares so far',
    'Duchi, Hazan & Singer, JMLR 12, 2011',
    reads=('optimizer.eps',),
    fields=(rows.FIRST_ACCUMULATOR,),
    elementwise=True,
  ),
  'adafactor': Optimizer(
    _adafactor,
    'a step relative to the size of the weights, with little memory',
    'Shazeer & Stern, ICML 2018, arXiv:1804.04235',
    fields=(rows.FACTORED_FROM,),
  ),
  'lion': Optimizer(
    _lion,
    'the sign of the momentum',
    'Chen et al., NeurIPS 2023, arXiv:2302.06675',
    reads=('optimizer.b1', 'optimizer.b2', _DECAY),
    elementwise=True,
  ),
  'lamb': Optimizer(
    _lamb,
    'Adam with a step as large as the weights of each array, for large batches',
    'You et al., ICLR 2020, arXiv:1904.00962',
    reads=(*_MOMENTS, _DECAY),
  ),
}
# Of optax 0.2.5 and later.
if hasattr(optax.contrib, 'muon'):
  _HOUSE['muon'] = Optimizer(
    _muon,
    'the momentum of each matrix, made orthogonal',
    'Jordan et al. 2024, kellerjordan.github.io/posts/muon',
    reads=(*_MOMENTS, _DECAY),
    fields=(rows.MUON_MOMENTUM,),
  )

OPTIMIZERS: registry.Registry[Optimizer] = registry.Registry(
  'optimizer', _HOUSE
)


def own_rows() -> Iterator[Field]:
  """Yield the fields that only optimizers and schedules read."""
  yield from rows.SHARED
  for optimizer in OPTIMIZERS.values():
    yield from optimizer.fields
  for schedule in SCHEDULES.values():
    yield from schedule.fields


def register_optimizer(name: str, optimizer: Optimizer) -> None:
  """Add an optimizer, which `config.optimizer.name` may then name.

  Args:
    name: a letter, then letters, digits or underscores.
    optimizer: what makes it, and the fields that it reads.

  Raises:
    RegistryError: a name that is taken, or an optimizer that cannot train.
  """
  others = [other for key, other in OPTIMIZERS.items() if key != name]
  components = (*others, *SCHEDULES.values())
  taken = [field for component in components for field in component.fields]
  OPTIMIZERS.register(name, optimizer, functools.partial(check, taken=taken))
