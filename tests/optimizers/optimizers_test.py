"""Every optimizer against its equations in NumPy, and who may be registered."""

from collections.abc import Callable
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lstm_variants as lv
from lstm_variants import optimizers, registry
from lstm_variants.config import (
  default,
  fields,
  populations,
  rules,
  settings,
)
from lstm_variants.optimizers import optimizer as optimizer_lib
from lstm_variants.optimizers import rows

UPDATES = 10
RATE = 0.1
# One matrix of a layer, one of the readout, and a vector that starts at zero.
SHAPES = {'layers/0/kernel': (3, 5), 'layers/0/bias': (5,), 'readout': (5, 2)}


def _nested(flat: dict[str, Any]) -> Any:
  layer = {k.rpartition('/')[2]: flat[k] for k in flat if 'layers' in k}
  return {'layers': (layer,), 'readout': {'kernel': flat['readout']}}


def _flat(tree: Any) -> dict[str, np.ndarray]:
  layer = {f'layers/0/{k}': v for k, v in tree['layers'][0].items()}
  flat = {**layer, 'readout': tree['readout']['kernel']}
  return {k: np.asarray(flat[k]) for k in SHAPES}


@functools.cache
def _gradients() -> list[dict[str, np.ndarray]]:
  """Return gradients of every size, some entries of which are zero."""
  generator = np.random.default_rng(0)
  scales = 10.0 ** generator.uniform(-2, 1, UPDATES)
  made = [
    {k: scale * generator.normal(size=s) for k, s in SHAPES.items()}
    for scale in scales
  ]
  made[0]['layers/0/bias'][0] = 0
  return made


def _first() -> dict[str, np.ndarray]:
  generator = np.random.default_rng(1)
  params = {k: generator.normal(size=s) for k, s in SHAPES.items()}
  params['layers/0/bias'] *= 0
  return params


def _trained(name: str, **options: Any) -> list[dict[str, np.ndarray]]:
  """Return the parameters before and after every update, in 64 bits."""
  entry = optimizers.OPTIMIZERS[name]
  chosen = {**optimizer_lib.defaults(entry), 'learning_rate': RATE, **options}
  with jax.enable_x64(True):
    made = entry.make(chosen)
    params = _nested(jax.tree.map(jnp.asarray, _first()))
    state, steps = made.init(params), [params]
    update = jax.jit(made.update)
    for grads in _gradients():
      changes, state = update(_nested(grads), state, steps[-1])
      steps.append(optax.apply_updates(steps[-1], changes))
  return [_flat(step) for step in steps]


class _Mean:
  """A decaying mean of each array, from zero on, and without its bias."""

  def __init__(self, decay: float):
    self.decay, self.updates = decay, 0
    self.value = {k: np.zeros(s) for k, s in SHAPES.items()}

  def add(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    self.updates += 1
    for k, array in arrays.items():
      self.value[k] = self.decay * self.value[k] + (1 - self.decay) * array
    return {
      k: v / (1 - self.decay**self.updates) for k, v in self.value.items()
    }


def _expected(
  direction: Callable[[dict, dict], dict],
) -> list[dict[str, np.ndarray]]:
  """Return the parameters after θ ← θ − η u at every update."""
  steps = [_first()]
  for grads in _gradients():
    u = direction(steps[-1], grads)
    steps.append({k: steps[-1][k] - RATE * u[k] for k in SHAPES})
  return steps


def _adam(b1: float, b2: float, eps: float) -> Callable[[dict], dict]:
  first, second = _Mean(b1), _Mean(b2)

  def direction(grads: dict) -> dict:
    m = first.add(grads)
    v = second.add({k: g**2 for k, g in grads.items()})
    return {k: m[k] / (np.sqrt(v[k]) + eps) for k in grads}

  return direction


def _assert_close(ours, expected, atol=1e-12):
  for one, two in zip(ours, expected, strict=True):
    for k in SHAPES:
      np.testing.assert_allclose(one[k], two[k], rtol=1e-9, atol=atol)


MOMENTS = {'b1': 0.8, 'b2': 0.95, 'eps': 0.01}


@pytest.mark.parametrize('decay', [0.0, 0.3])
def test_adamw_decays_by_the_rate_whatever_the_gradient(decay):
  adam = _adam(**MOMENTS)

  def direction(params, grads):
    return {k: u + decay * params[k] for k, u in adam(grads).items()}

  ours = _trained('adamw', **MOMENTS, weight_decay=decay)
  _assert_close(ours, _expected(direction))


def test_lamb_takes_a_step_as_large_as_the_weights_of_each_array():
  adam = _adam(**MOMENTS)

  def direction(params, grads):
    u = {k: u + 0.3 * params[k] for k, u in adam(grads).items()}
    for k, array in u.items():
      size, length = np.linalg.norm(params[k]), np.linalg.norm(array)
      u[k] = array * (size / length if size and length else 1)
    return u

  ours = _trained('lamb', **MOMENTS, weight_decay=0.3)
  _assert_close(ours, _expected(direction))


def test_lion_takes_the_sign_of_the_momentum_and_decays():
  m = {k: np.zeros(s) for k, s in SHAPES.items()}

  def direction(params, grads):
    u = {}
    for k, g in grads.items():
      u[k] = np.sign(0.8 * m[k] + 0.2 * g) + 0.3 * params[k]
      m[k] = 0.95 * m[k] + 0.05 * g
    return u

  ours = _trained('lion', b1=0.8, b2=0.95, weight_decay=0.3)
  _assert_close(ours, _expected(direction))


def test_adagrad_divides_by_the_root_of_the_sum_of_squares():
  v = {k: np.full(s, 0.2) for k, s in SHAPES.items()}

  def direction(params, grads):
    del params
    for k, g in grads.items():
      v[k] = v[k] + g**2
    return {k: g / np.sqrt(v[k] + 0.01) for k, g in grads.items()}

  ours = _trained('adagrad', eps=0.01, first_accumulator=0.2)
  _assert_close(ours, _expected(direction))


@pytest.mark.parametrize('factored', [False, True])
def test_adafactor_steps_relative_to_the_weights(factored):
  v = {k: np.zeros(s) for k, s in SHAPES.items()}
  done = iter(range(UPDATES))

  def direction(params, grads):
    keep, u = 1 - (next(done) + 1.0) ** -0.8, {}
    for k, g in grads.items():
      v[k] = keep * v[k] + (1 - keep) * (g**2 + 1e-30)
      mean = v[k]
      if factored and mean.ndim == 2:
        mean = np.outer(mean.mean(1), mean.mean(0)) / mean.mean()
      u[k] = g / np.sqrt(mean)
      u[k] = u[k] / max(1, np.sqrt(np.mean(u[k] ** 2)))
      u[k] = u[k] * max(1e-3, np.sqrt(np.mean(params[k] ** 2)))
    return u

  ours = _trained('adafactor', factored_from=2 if factored else 128)
  # optax takes the decay of the mean in 32 bits.
  _assert_close(ours, _expected(direction), atol=1e-7)


@pytest.mark.skipif(
  'muon' not in optimizers.OPTIMIZERS, reason='of a later optax'
)
def test_muon_makes_the_momentum_of_a_layers_matrix_orthogonal():
  beta, decay, kernel = 0.9, 0.3, 'layers/0/kernel'
  mean, updates = np.zeros(SHAPES[kernel]), 0
  options = {**MOMENTS, 'muon_momentum': beta, 'weight_decay': decay}
  ours = _trained('muon', **options)
  for before, after, grads in zip(ours, ours[1:], _gradients(), strict=False):
    updates += 1
    g = grads[kernel]
    mean = beta * mean + (1 - beta) * g
    momentum = beta * mean / (1 - beta ** (updates + 1))
    momentum = momentum + (1 - beta) * g / (1 - beta**updates)
    u = (before[kernel] - after[kernel]) / RATE - decay * before[kernel]
    left, _, right = np.linalg.svd(momentum, full_matrices=False)
    # More columns than rows: scaled by √(columns / rows).
    inside = left.T @ u @ right.T / np.sqrt(5 / 3)
    singular = np.diag(inside)
    np.testing.assert_allclose(inside, np.diag(singular), atol=1e-5)
    assert 0.6 < singular.min() and singular.max() < 1.3


@pytest.mark.skipif(
  'muon' not in optimizers.OPTIMIZERS, reason='of a later optax'
)
def test_muon_leaves_biases_and_the_readout_to_adamw():
  first, second = _Mean(0.8), _Mean(0.95)

  def direction(params, grads):
    m = first.add(grads)
    v = second.add({k: g**2 for k, g in grads.items()})
    t, u = first.updates, {}
    for k, g in grads.items():
      ahead = 0.8 * m[k] * (1 - 0.8**t) / (1 - 0.8 ** (t + 1))
      ahead = ahead + 0.2 * g / (1 - 0.8**t)
      u[k] = ahead / (np.sqrt(v[k]) + 0.01) + 0.3 * params[k]
    return u

  ours = _trained('muon', **MOMENTS, weight_decay=0.3)
  expected = _expected(direction)
  for one, two in zip(ours, expected, strict=True):
    for k in ('layers/0/bias', 'readout'):
      np.testing.assert_allclose(one[k], two[k], rtol=1e-9)


@pytest.mark.parametrize('name', optimizers.OPTIMIZERS)
def test_numbers_of_the_role_run_may_be_traced_and_differ_between_lanes(name):
  entry = optimizers.OPTIMIZERS[name]
  known = {**rows.shared(), **{field.name: field for field in entry.fields}}
  options = optimizer_lib.defaults(entry)
  traced = {
    rows.option(field.name): jnp.asarray([0.1, 0.2], jnp.float32)
    for field in known.values()
    if field.role is fields.RUN and rows.option(field.name) in options
  }
  params, grads = jax.tree.map(
    lambda leaf: jnp.asarray(leaf, jnp.float32),
    (_nested(_first()), _nested(_gradients()[1])),
  )

  def change(numbers: dict[str, Any]) -> Any:
    made = entry.make({**options, **numbers})
    return made.update(grads, made.init(params), params)[0]

  lanes = jax.jit(jax.vmap(change))(traced)
  for lane in range(2):
    alone = jax.jit(change)(jax.tree.map(lambda x, n=lane: x[n], traced))
    for k, array in _flat(alone).items():
      lane_k = _flat(jax.tree.map(lambda x, n=lane: x[n], lanes))[k]
      np.testing.assert_allclose(array, lane_k, rtol=2e-5, atol=1e-7)


@pytest.mark.parametrize('name', optimizers.OPTIMIZERS)
def test_an_optimizer_says_whether_weights_that_nobody_uses_matter(name):
  entry = optimizers.OPTIMIZERS[name]
  transformation = entry.make(optimizer_lib.defaults(entry))
  wide, narrow = ((3, 8), (3, 6))

  def change(shape: tuple[int, int]) -> np.ndarray:
    # The first columns are equal; what is beyond them has no gradient.
    kernel = np.ones(wide)
    kernel[:, :6] = np.random.default_rng(2).normal(size=narrow)
    params, grads = (
      {'layers': ({'kernel': jnp.asarray(array[:, : shape[1]])},)}
      for array in (kernel, np.where(kernel == 1, 0, kernel**2))
    )
    updates: Any = transformation.update(
      grads, transformation.init(params), params
    )[0]
    return np.asarray(updates['layers'][0]['kernel'])[:, :6]

  equal = np.allclose(change(wide), change(narrow), rtol=1e-6, atol=0)
  assert equal is entry.elementwise


@pytest.mark.parametrize('name, programs', [('adam', 1), ('lamb', 2)])
def test_an_optimizer_of_whole_arrays_trains_variants_apart(
  name, programs, monkeypatch
):
  runs = []
  for variant, rate in [('vanilla', 0.1), ('vanilla', 0.2), ('nfg', 0.1)]:
    config: Any = default.default_config()
    config.optimizer.name = name
    config.optimizer.learning_rate = rate
    config.model.variant = variant
    runs.append(settings.from_config(config))
  members = populations.split(runs)
  assert len(members) == programs
  assert [one.places for one in members] == (
    [(0, 1, 2)] if programs == 1 else [(0, 1), (2,)]
  )
  # What is on disk was trained as it was, whatever the optimizer says later.
  entry = optimizers.OPTIMIZERS[name]
  monkeypatch.setitem(
    optimizers.OPTIMIZERS._entries,
    name,
    entry._replace(elementwise=not entry.elementwise),
  )
  assert len(populations.split(runs)) == 3 - programs
  existing = [one.name for one in members]
  assert populations.split(runs, existing=existing) == members


def _sign(options: Any) -> optax.GradientTransformation:
  return optax.sign_sgd(options['learning_rate'])


def _scalars(options: Any) -> optax.GradientTransformation:
  del options
  return optax.stateless(lambda grads, _: jax.tree.map(jnp.sum, grads))


OWN = fields.Field(
  'optimizer.own',
  1.0,
  rules.Real(1.0, above=0),
  fields.RUN,
  'Own.',
  by='optimizer.name',
)


def _with(*own: Any) -> optimizers.Optimizer:
  return optimizers.Optimizer(_sign, fields=own)


@pytest.mark.parametrize(
  'name, entry, said',
  [
    ('adam', optimizers.Optimizer(_sign), 'the name is taken'),
    ('mine', optax.sgd(0.1), 'must be an lv.Optimizer'),
    ('mine', optimizers.Optimizer(lambda o: o['b3']), 'KeyError'),
    ('mine', optimizers.Optimizer(_scalars), 'other shapes'),
    (
      'mine',
      optimizers.Optimizer(_sign, reads=('optimizer.b3',)),
      "'optimizer.b3', which is no shared field; choices: ",
    ),
    (
      'mine',
      optimizers.Optimizer(_sign, fields=(OWN._replace(name='model.own'),)),
      'nearest: optimizer.own',
    ),
    (
      'mine',
      optimizers.Optimizer(_sign, fields=(OWN._replace(name='optimizer.b1'),)),
      "nearest: reads=('optimizer.b1',)",
    ),
    ('mine', _with('optimizer.own'), 'has a str, must be lv.Field'),
    ('mine', _with(OWN._replace(by='')), "nearest: by='optimizer.name'"),
    ('mine', _with(OWN._replace(default=-1.0)), 'must be > 0; for example 1'),
    ('mine', _with(OWN._replace(default=None)), 'has no default'),
    ('mine', _with(OWN._replace(role=fields.CONDUCT)), 'nearest: lv.PROGRAM'),
    ('mine', _with(OWN._replace(switch='batch_size')), "nearest: switch=''"),
    ('mine', _with(OWN._replace(default=[1.0])), 'its default is a list'),
    ('mine', _with(OWN._replace(rule=None)), 'refuses its default (Attrib'),  # pyrefly: ignore[bad-argument-type]
    (
      'mine',
      _with(OWN._replace(rule=rules.Registered('colour'))),
      'nearest: rules.Choice',
    ),
    (
      'mine',
      _with(rows.FACTORED_FROM._replace(default=4)),
      'nearest: optimizer.my_factored_from, or the equal row',
    ),
    (
      'mine',
      _with(OWN._replace(name='optimizer.decay_updates')),
      'is shared already',
    ),
    ('mine', _with(OWN, OWN._replace(default=2.0)), 'that of another row'),
  ],
)
def test_an_optimizer_that_cannot_train_is_refused_in_one_line(
  name, entry, said
):
  before = list(optimizers.OPTIMIZERS)
  with pytest.raises(registry.RegistryError) as refusal:
    optimizers.register_optimizer(name, entry)
  assert said in str(refusal.value) and '\n' not in str(refusal.value)
  assert list(optimizers.OPTIMIZERS) == before


def test_the_equal_row_of_another_and_an_open_one_are_taken():
  own = OWN._replace(default=None, rule=rules.Open(OWN.rule), role=lv.PROGRAM)
  optimizer_lib.check(
    _with(rows.FACTORED_FROM, own),
    (rows.FACTORED_FROM, rows.MUON_MOMENTUM),
  )


def test_a_row_of_ones_own_is_made_of_public_names():
  assert OWN == lv.Field(
    'optimizer.own',
    1.0,
    lv.Real(1.0, above=0),
    lv.RUN,
    'Own.',
    by='optimizer.name',
  )
  assert rows.FACTORED_FROM.rule == lv.Integer(1, 2**20)
  assert rows.FACTORED_FROM.role is lv.PROGRAM
  assert rows.shared()['optimizer.nesterov'].rule == lv.Boolean()
