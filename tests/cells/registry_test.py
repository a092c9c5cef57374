"""Cells and variants from outside: what is owed, what follows, what is not."""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import base
import lstm_variants as lv
from lstm_variants import cells, models, registry
from lstm_variants.cells import check_cell, remedies
from lstm_variants.config import rules, settings
from lstm_variants.evidence.gates import measure
from lstm_variants.evidence.gradient_flow import gradients, jacobians
from lstm_variants.launch import local
from lstm_variants.models import penalty, probes
from lstm_variants.training import memory, population

F, H, T, B = 2, 4, 5, 3


def init(key, in_features, hidden_features, nothing, options, /):
  shape = (in_features, hidden_features)
  return {
    'kernel': jax.random.normal(key, shape, options.dtype),
    'bias': jnp.zeros(hidden_features, options.dtype),
  }


def init_carry(settings, batch_shape, hidden_features, dtype):
  """A list of the mean and of a count of the steps, an integer."""
  return [
    jnp.zeros((*batch_shape, hidden_features), dtype),
    jnp.zeros(batch_shape, jnp.int32),
  ]


def step(params, settings, carry, inputs):
  """Return the mean of the steps so far, and tanh of it as the hidden state."""
  mean, count = carry
  new = inputs @ params['kernel'] + params['bias']
  count = count + 1
  mean = mean + (new - mean) / count[..., None].astype(mean.dtype)
  return [mean, count], jnp.tanh(mean)


OUTSIDE = lv.Cell(init=init, init_carry=init_carry, step=step)


class Pair(NamedTuple):
  c: Any
  h: Any


def init_pair(settings, batch_shape, hidden_features, dtype):
  zeros = jnp.zeros((*batch_shape, hidden_features), dtype)
  return Pair(zeros, zeros)


def step_pair(params, settings, carry, inputs):
  c = 0.9 * carry.c + inputs @ params['kernel'] + params['bias']
  h = jnp.tanh(c)
  return Pair(c, h), h


NAMED = lv.Cell(init=init, init_carry=init_pair, step=step_pair)


@functools.cache
def draw() -> Any:
  params = OUTSIDE.init_params(jax.random.key(0), F, H)
  return params, jax.random.normal(jax.random.key(1), (B, T, F))


def test_three_functions_make_a_cell_that_unrolls():
  params, inputs = draw()
  mask = np.ones((B, T), bool)
  mask[1, 2] = mask[2, 0] = False
  masked = jnp.where(mask[..., None], inputs, jnp.nan)
  (mean, count), hiddens = jax.jit(
    lambda x: OUTSIDE.unroll(params, None, x, mask=jnp.asarray(mask))
  )(masked)
  assert count.dtype == jnp.int32
  np.testing.assert_array_equal(count, mask.sum(axis=1))
  entered = np.asarray(inputs) @ np.asarray(params['kernel'])
  for n in range(B):
    before = np.zeros(H)
    for t in range(T):
      seen = entered[n, : t + 1][mask[n, : t + 1]]
      before = np.tanh(seen.mean(axis=0)) if mask[n, t] else before
      np.testing.assert_allclose(hiddens[n, t], before, atol=1e-6)
    np.testing.assert_allclose(
      mean[n], entered[n, mask[n]].mean(axis=0), atol=1e-6
    )


def test_the_size_is_found_though_every_axis_is_a_multiple_of_it():
  def init_wide(key, in_features, hidden_features, settings, options):
    del key, settings
    return jnp.zeros((2 * in_features, 3 * hidden_features), options.dtype)

  wide = dataclasses.replace(OUTSIDE, init=init_wide)
  assert wide.size_of(wide.init_params(jax.random.key(0), F, H), F) == H


def test_what_a_cell_does_not_say_follows_from_its_shapes():
  params, _ = draw()
  assert OUTSIDE.count_params(None, F, H) == F * H + H
  assert OUTSIDE.size_of(params, F) == H
  assert OUTSIDE.zones == ()
  assert NAMED.zones == ('c', 'h')
  assert not OUTSIDE.keeps and OUTSIDE.gates is None
  half = OUTSIDE.init_params(jax.random.key(0), F, H, dtype=jnp.bfloat16)
  assert {leaf.dtype for leaf in jax.tree.leaves(half)} == {
    jnp.dtype('bfloat16')
  }
  # h is not what step returns: it is no hidden state.
  other = dataclasses.replace(
    NAMED, step=lambda *args: (step_pair(*args)[0], step_pair(*args)[1] ** 2)
  )
  assert other.zones == ()


def test_a_cell_is_a_static_argument():
  params, inputs = draw()
  run = jax.jit(
    lambda cell, x: cell.unroll(params, None, x)[1], static_argnums=0
  )
  assert run(OUTSIDE, inputs).shape == (B, T, H)
  assert OUTSIDE != dataclasses.replace(OUTSIDE)
  assert len({OUTSIDE, NAMED, OUTSIDE}) == 2


@pytest.fixture
def registered(monkeypatch):
  """Register both cells, and forget them afterwards."""
  for known in (cells.CELLS, lv.VARIANTS):
    monkeypatch.setattr(known, '_entries', dict(known))
    monkeypatch.setattr(known, '_modules', dict(known._modules))
  lv.register_cell('running_mean', OUTSIDE)
  lv.register_cell('leaky_pair', NAMED)


@pytest.mark.usefixtures('registered')
@pytest.mark.parametrize('name', ['running_mean', 'leaky_pair'])
def test_a_registered_cell_is_a_model(name):
  architecture = models.Architecture(name, 2, F, H, 1, residual=True)
  params = models.init_model(jax.random.key(0), architecture)
  _, inputs = draw()

  def run(params, segment):
    return models.apply_model(
      params, architecture, None, inputs, segment=segment
    )

  (whole, gradient), parts = jax.jit(
    lambda p: (
      jax.value_and_grad(lambda p: jnp.sum(jnp.sin(run(p, None)[1])))(p),
      jnp.sum(jnp.sin(run(p, 2)[1])),
    )
  )(params)
  np.testing.assert_allclose(parts, whole, rtol=1e-6)
  assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(gradient))
  count = sum(leaf.size for leaf in jax.tree.leaves(params))
  assert models.count_params(architecture, None) == count
  assert cells.CELLS.module_of(name) == __name__


@pytest.mark.usefixtures('registered')
def test_named_states_bring_zoneout_a_learned_beginning_and_probes():
  architecture = models.Architecture(
    'leaky_pair', 1, F, H, 1, learned_carry=True
  )
  models.check_architecture(architecture)
  params = models.init_model(jax.random.key(0), architecture)
  assert sorted(params['carries'][0]) == ['c', 'h']
  noise = remedies.Noise(None, 1.0, 1.0, 0.0)
  _, inputs = draw()
  (last,), _ = models.apply_model(
    params, architecture, None, inputs, noise=noise
  )
  np.testing.assert_array_equal(last.c, 0)
  carries = models.first_carries(params, architecture, None, inputs)
  steps = jnp.swapaxes(inputs, 0, 1)
  probed, _ = probes.run(
    *(params, architecture, None, steps, carries),
    probes.zeros(carries, T),
  )
  _, outputs = models.apply_model(params, architecture, None, inputs)
  np.testing.assert_allclose(jnp.swapaxes(probed, 0, 1), outputs, atol=1e-6)


@pytest.mark.usefixtures('registered')
def test_what_needs_named_states_is_refused_in_words():
  architecture = models.Architecture('running_mean', 1, F, H, 1)
  for field in ('learned_carry', 'layer_norm'):
    chosen: Any = {field: True}
    with pytest.raises(ValueError, match=f'{field}=True: running_mean has no'):
      models.check_architecture(architecture._replace(**chosen))
  params = models.init_model(jax.random.key(0), architecture)
  with pytest.raises(ValueError, match='does not name its states.*field h'):
    penalty.gradient(params, architecture, None, draw()[1], jnp.sum)
  with pytest.raises(ValueError, match='does not name its states.*field h'):
    measure.trace(params, architecture, None, draw()[1])


class Counted(NamedTuple):
  h: jax.Array
  n: jax.Array


def test_a_carry_of_integers_has_no_gradient_and_is_refused_in_words(
  monkeypatch,
):
  def init_counted(settings, batch_shape, size, dtype):
    zeros = jnp.zeros((*batch_shape, size), dtype)
    return Counted(zeros, jnp.zeros(batch_shape, jnp.int32))

  def step_counted(params, settings, carry, inputs):
    h = jnp.tanh(carry.h + inputs @ params['kernel'])
    return Counted(h, carry.n + 1), h

  counted = lv.Cell(init=init, init_carry=init_counted, step=step_counted)
  monkeypatch.setattr(cells.CELLS, '_entries', {'counted': counted})
  architecture = models.Architecture('counted', 1, F, H, 1)
  params = models.init_model(jax.random.key(0), architecture)
  arguments = (params, architecture, None, draw()[1])
  for follow in (
    lambda: gradients.state_gradients(*arguments, lambda y: y.sum((1, 2))),
    lambda: jacobians.lag_norms(*arguments, 0),
    lambda: penalty.gradient(*arguments, jnp.sum),
  ):
    with pytest.raises(ValueError, match='n in the carry .* is int32, which'):
      follow()


def with_carry(*shape):
  return lambda settings, batch_shape, *rest: jnp.zeros(shape)


class Sized(NamedTuple):
  block_size: float


WRONG: Any = {
  'is no lv.Cell': lambda: init,
  'init fails: KeyError': lambda: {'init': lambda *a: {}['x']},
  r"init makes int32 of\['n'\]: parameters are floating": lambda: {
    'init': lambda *a: {**init(*a), 'n': jnp.zeros(3, jnp.int32)}
  },
  'init makes float32.*pass|init makes float32': lambda: {
    'init': lambda key, f, h, s, options: {'kernel': jnp.zeros((f, h))}
  },
  r'init_carry makes \[16\].*batch_shape': lambda: {
    'init_carry': lambda s, batch, size, dtype: jnp.zeros(size, dtype)
  },
  'init_carry makes no array': lambda: {'init_carry': lambda *a: ()},
  'init_carry fails: TypeError': lambda: {'init_carry': lambda batch: batch},
  'step fails: TypeError': lambda: {'step': lambda params, carry: carry},
  'step returns a list, not the pair': lambda: {
    'step': lambda p, s, carry, x: [carry]
  },
  'carry of another structure': lambda: {
    'step': lambda p, s, carry, x: (carry[:1], carry[0])
  },
  r'step returns a carry of \[2, 3\] where': lambda: {
    'step': lambda p, s, carry, x: ([x, carry[1]], carry[0])
  },
  r'hidden state of \[2, 3\], not \[2, 16\]': lambda: {
    'step': lambda p, s, carry, x: (carry, x)
  },
  'project and advance go together': lambda: {'project': step},
  'settings has c, h, ranges has none': lambda: {'settings': Pair(1, 2)},
  "setting 'block_size': float here, int in lstm_1997.*my_block_size": lambda: {
    'settings': Sized(0.5),
    'ranges': {'block_size': lv.Range(0, 1.0, 'share of the blocks')},
  },
}


@pytest.mark.parametrize('message', WRONG)
def test_a_cell_that_breaks_its_contract_is_refused_in_one_line(message):
  changes = WRONG[message]()
  wrong = changes
  if isinstance(changes, dict):
    wrong = dataclasses.replace(OUTSIDE, **changes)
  with pytest.raises(registry.RegistryError, match=message) as refusal:
    lv.register_cell('wrong', wrong)
  assert '\n' not in str(refusal.value)
  assert 'wrong' not in lv.CELLS


@pytest.mark.parametrize('name', cells.CELLS)
def test_the_cells_of_the_house_keep_the_contract(name):
  cell = cells.CELLS[name]
  if cell.toggled:
    cell = dataclasses.replace(
      cell,
      settings=lv.Toggles(),
      ranges=dict.fromkeys(lv.Toggles._fields),  # pyrefly: ignore[bad-argument-type]
    )
  check_cell.check_cell(cell)
  # What a cell says of its states is what its step shows.
  shown = dataclasses.replace(cell, states=None).zones
  assert set(cell.zones) <= set(shown) and 'h' in shown


@pytest.mark.usefixtures('registered')
def test_a_cell_that_its_own_module_registers_again_is_the_new_one(monkeypatch):
  architecture = models.Architecture('running_mean', 1, F, H, 1)
  params = models.init_model(jax.random.key(0), architecture)
  _, inputs = draw()
  run = jax.jit(models.apply_model, static_argnums=(1, 2))
  _, before = run(params, architecture, None, inputs)
  order, state = list(lv.CELLS), lv.CELLS.state
  again = dataclasses.replace(
    OUTSIDE, step=lambda *args: (step(*args)[0], 0 * step(*args)[1])
  )
  lv.register_cell('running_mean', again)
  assert lv.CELLS['running_mean'] is again
  assert list(lv.CELLS) == order and lv.CELLS.state != state
  _, after = run(params, architecture, None, inputs)
  assert np.any(before) and not np.any(after - after[:, :1])
  monkeypatch.setitem(lv.CELLS._modules, 'running_mean', 'another')
  with pytest.raises(registry.RegistryError, match='taken .by another.'):
    lv.register_cell('running_mean', OUTSIDE)


@pytest.mark.usefixtures('registered')
def test_names_are_of_cells_or_of_variants():
  variant = lv.Variant(lv.Toggles(peephole_o=True), 'one peephole', 'ours')
  lv.register_variant('one_peephole', variant)
  lv.register_variant('one_peephole', variant)
  assert lv.VARIANTS['one_peephole'] is variant
  assert list(lv.VARIANTS)[-1] == 'one_peephole'
  for name, message in (
    ('gru', 'that of a cell'),
    ('running_mean', f'that of a cell .by {__name__}.'),
    ('vanilla', 'taken .by lstm_variants.'),
    ('one peephole', 'letters, digits'),
    ('p' * 41, f'at most 40 characters; nearest: {"p" * 40}$'),
  ):
    with pytest.raises(registry.RegistryError, match=message):
      lv.register_variant(name, variant._replace(summary=''))
  for name, message in (
    ('vanilla', 'that of a variant'),
    ('gru', 'taken'),
  ):
    with pytest.raises(registry.RegistryError, match=message):
      lv.register_cell(name, OUTSIDE)


@pytest.mark.parametrize(
  'variant, message',
  [
    (lv.Toggles(), 'no lv.Variant'),
    (lv.Variant('peephole', '', ''), 'no lv.Toggles'),  # pyrefly: ignore[bad-argument-type]
    (
      lv.Variant(lv.Toggles(coupled=True, peephole_f=True), '', ''),
      'peephole_f',
    ),
    (
      lv.Variant(lv.Toggles(coupled=jnp.array(True)), '', ''),
      'coupled: an array, must be a Python value',
    ),
  ],
)
def test_variants_that_are_none_are_refused(variant, message):
  with pytest.raises(registry.RegistryError, match=message):
    lv.register_variant('wrong', variant)
  assert 'wrong' not in lv.VARIANTS


@pytest.mark.usefixtures('registered')
def test_a_cell_from_outside_trains_in_a_population():
  """Two seeds in one program: each loss is that of its own weights."""
  runs = []
  for seed in (0, 1):
    config = base.get_config()
    config.update_from_flattened_dict(
      {
        'seed': seed,
        'model.variant': 'running_mean',
        'model.hidden_features': H,
        'task.length': 4,
        'training.batch_size': 4,
        'training.evaluation_batches': 1,
      }
    )
    runs.append(settings.from_config(config))
  assert memory.estimate_bytes(runs[0].settings) > 0
  made = population.compile_population(
    runs[0].settings, [run.hyperparams for run in runs]
  )
  before = jax.tree.map(np.asarray, made.state.params['layers'])
  state, record = made.advance(made.state, 3)
  moved = jax.tree.map(
    lambda a, b: np.abs(a - b), before, state.params['layers']
  )
  assert all(leaf.max() > 0 for leaf in jax.tree.leaves(moved))
  losses = np.asarray(record['train_loss'])
  assert np.isfinite(losses).all() and losses[0] != losses[1]


@pytest.mark.usefixtures('registered')
def test_fields_that_a_cell_from_outside_does_not_read_are_refused():
  for field, value in (('model.forget_bias', 2.0), ('model.zoneout_h', 0.1)):
    config = base.get_config()
    config.update_from_flattened_dict(
      {'model.variant': 'running_mean', field: value}
    )
    with pytest.raises(
      ValueError, match=f'{field}.*running_mean does not read'
    ):
      settings.from_config(config)


def _at_four(function):
  """Return a function of a cell that fails where H = 4, and only there."""

  def fails(*arguments):
    shapes = [getattr(leaf, 'shape', ()) for leaf in jax.tree.leaves(arguments)]
    sizes = [size for size in arguments if isinstance(size, int)]
    if H in sizes or any(shape[-1:] == (H,) for shape in shapes):
      raise KeyError('width')
    return function(*arguments)

  return fails


@pytest.mark.usefixtures('registered')
@pytest.mark.parametrize('name', ['init', 'init_carry', 'step'])
def test_a_cell_that_fails_at_the_width_of_a_run_is_refused_in_a_line(name):
  function: Any = _at_four(getattr(OUTSIDE, name))
  narrow = dataclasses.replace(OUTSIDE, **{name: function})
  lv.register_cell('narrow', narrow)
  config = base.get_config()
  config.update_from_flattened_dict(
    {'model.variant': 'narrow', 'model.hidden_features': H}
  )
  for here in (True, False):  # it does not depend on the machine
    with pytest.raises(rules.InputError) as refusal:
      local.check(config, here=here)
    assert str(refusal.value) == (
      f"--config.model.variant='narrow': its {name} fails at "
      "hidden_features=4: KeyError: 'width'; nearest: another width, or "
      'another cell'
    )
  config.update_from_flattened_dict({'model.hidden_features': 8})
  local.check(config)
