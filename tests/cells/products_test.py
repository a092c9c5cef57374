"""The gradient of a cell that names its products, against JAX's own of it."""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_variants as lv
from lstm_variants.cells import check_cell, products
from lstm_variants.cells.products import IDENTITY, SIGMOID, TANH

FEATURES, HIDDEN = 3, 4


class Carry(NamedTuple):
  """Two states; h is the hidden one."""

  c: Any
  h: Any


def init(key, features, hidden, settings, options):
  """Draw weights of every kind of use."""
  del settings
  shapes = {
    'kernel': (features, 4 * hidden + hidden // 2),
    'recurrent': (hidden, 3 * hidden),
    'heads': (2, hidden // 2, hidden // 2),
    'own': (hidden,),
    'bias': (hidden,),
  }
  return {
    name: jax.random.normal(jax.random.fold_in(key, n), shape, options.dtype)
    for n, (name, shape) in enumerate(shapes.items())
  }


def init_carry(settings, batch_shape, hidden, dtype):
  """Return the zero carry."""
  del settings
  zeros = jnp.zeros((*batch_shape, hidden), dtype)
  return Carry(zeros, zeros)


def project(params, settings, inputs):
  """Multiply the inputs; see `split`."""
  del settings
  return split(params, inputs @ params['kernel'])


def split(params, x):
  """Return what is only added, added twice, read too, added to each head."""
  size = params['own'].shape[0]
  ends = (2 * size, 3 * size, 4 * size)
  only, twice, read, shared = jnp.split(x, ends, axis=-1)
  return only, twice, read, shared[..., None, :]


def advance(params, settings, carry, projected, product=products.product):
  """Use products in every way that there is."""
  del settings
  c, h = carry
  only, twice, read, shared = projected
  size = h.shape[-1]
  kernel = params['recurrent'] * 0.5  # made of parameters, a part of them
  i, o = product(h, kernel[:, : 2 * size], only, (SIGMOID, SIGMOID))
  (a,) = product(i * h + read, kernel[:, 2 * size :], twice, (TANH,))
  (b,) = product(c, kernel[:, :size], twice, (TANH,))
  parts = a.reshape(*a.shape[:-1], 2, size // 2)
  (mixed,) = product(parts, params['heads'], shared)
  added = params['bias'] + params['own'] * c
  (e,) = product(read, kernel[:, :size], added, (IDENTITY,))
  c = 0.5 * c + o * b + mixed.reshape(a.shape) * read
  (g,) = product(None, None, c + 0.1 * e, (TANH,))
  h = o * g
  return Carry(c, h), h


def step(params, settings, carry, inputs):
  """Take a step; see `advance`."""
  x = project(params, settings, inputs)
  return advance(params, settings, carry, x)


CELL = lv.Cell(
  init=init,
  init_carry=init_carry,
  step=step,
  project=project,
  advance=advance,
  size=lambda params: params['own'].shape[0],
  fused=True,
)


@pytest.fixture(autouse=True)
def _double():
  with jax.enable_x64(True):
    yield


def draw(time, batch, seed=0):
  """Return params, inputs and a carry, and a mask with holes and lengths."""
  rng = np.random.default_rng(seed)
  params = CELL.init_params(
    jax.random.key(seed), FEATURES, HIDDEN, dtype=jnp.float64
  )
  inputs = rng.normal(size=(batch, time, FEATURES))
  carry = Carry(*rng.normal(size=(2, batch, HIDDEN)))
  mask = np.arange(time) < np.linspace(time, 0, batch).astype(int)[:, None]
  mask[0, time // 2] = False
  return (params, inputs, carry), mask


def loss(gradient, mask, operands, cell=CELL):
  """Return a number in which every entry has its own weight."""
  params, inputs, carry = operands
  outputs = cell.unroll(
    params, None, inputs, carry, mask=mask, gradient=gradient
  )
  return sum(
    jnp.sum(jnp.cos(jnp.arange(leaf.size) + n) * leaf.reshape(-1))
    for n, leaf in enumerate(jax.tree.leaves(outputs))
  )


def both(transform, *arguments):
  """Return what a transform of the loss makes of either gradient."""
  return [
    jax.jit(transform(functools.partial(loss, gradient)))(*arguments)
    for gradient in ('fused', 'autodiff')
  ]


def assert_close(left, right, tolerance):
  """Compare trees leaf by leaf."""
  assert jax.tree.structure(left) == jax.tree.structure(right)
  for a, b in zip(*map(jax.tree.leaves, (left, right)), strict=True):
    scale = max(1.0, np.max(np.abs(b), initial=0))
    np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * scale)


# A block has about 512 rows. One step; a block; equal blocks; and a rest.
@pytest.mark.parametrize('time, batch', [(1, 3), (7, 3), (40, 64), (37, 64)])
def test_every_use_of_a_product_has_the_gradient_of_jax(time, batch):
  operands, mask = draw(time, batch)
  left, right = both(lambda f: jax.value_and_grad(f, argnums=1), mask, operands)
  assert_close(left, right, 1e-11)


def test_runs_side_by_side_have_the_gradients_of_jax():
  operands = jax.tree.map(
    lambda *leaves: jnp.stack(leaves), *(draw(5, 3, n)[0] for n in range(3))
  )
  left, right = both(
    lambda f: jax.vmap(jax.grad(functools.partial(f, None))), operands
  )
  assert_close(left, right, 1e-11)


def test_the_second_derivative_is_that_of_jax():
  operands, mask = draw(4, 2)

  def squared(f):
    first = jax.grad(functools.partial(f, mask))
    return jax.grad(
      lambda x: sum(jnp.sum(g**2) for g in jax.tree.leaves(first(x)))
    )

  left, right = both(squared, operands)
  assert_close(left, right, 1e-10)


def test_half_precision_gives_gradients_of_half_precision_that_are_close():
  """Those of weights, too, which are sums over 300 steps."""
  operands, mask = draw(300, 3)
  exact = jax.jit(jax.grad(functools.partial(loss, 'fused', mask)))(operands)
  halves = jax.tree.map(lambda x: jnp.asarray(x, jnp.bfloat16), operands)
  rough = jax.jit(jax.grad(functools.partial(loss, 'fused', mask)))(halves)
  assert {x.dtype for x in jax.tree.leaves(rough)} == {jnp.dtype('bfloat16')}
  for a, b in zip(*map(jax.tree.leaves, (rough[0], exact[0])), strict=True):
    error = np.linalg.norm(np.asarray(a, 'float64') - b)
    assert error < 0.03 * np.linalg.norm(b)


def test_sequences_spread_over_devices_have_the_gradient_of_all():
  """The check of `jax.shard_map` refuses what does not vary alike."""
  (params, inputs, _), _ = draw(5, 4)

  def squared(params, inputs):
    return jnp.sum(CELL.unroll(params, None, inputs)[1] ** 2)

  mesh = jax.make_mesh(
    (2,), ('batch',), axis_types=(jax.sharding.AxisType.Auto,)
  )
  spread = jax.shard_map(
    lambda *operands: jax.lax.psum(squared(*operands), 'batch'),
    mesh=mesh,
    in_specs=(jax.P(), jax.P('batch')),
    out_specs=jax.P(),
  )
  left, right = (
    jax.jit(jax.grad(f))(params, inputs) for f in (spread, squared)
  )
  assert_close(left, right, 1e-11)


def test_the_gradient_keeps_less_of_a_step_than_that_of_jax():
  operands, _ = draw(500, 8)

  def kept(gradient):
    program = jax.jit(jax.grad(functools.partial(loss, gradient, None)))
    memory: Any = program.lower(operands).compile().memory_analysis()
    return memory.temp_size_in_bytes

  assert kept('fused') < 0.6 * kept('autodiff')


def test_a_kernel_that_changes_from_step_to_step_is_refused():
  def moving(params, settings, carry, projected, product=products.product):
    del settings
    kernel = params['recurrent'][:, :HIDDEN] * jnp.sum(carry.h)
    (h,) = product(carry.h, kernel, projected[2])
    return Carry(carry.c, h), h

  cell = dataclasses.replace(CELL, advance=moving)
  (params, inputs, carry), _ = draw(3, 2)
  with pytest.raises(lv.Error, match='kernel depends on the carry.*left @'):
    cell.unroll(params, None, jnp.asarray(inputs), carry)


def test_a_cell_without_a_projection_makes_its_products_in_its_step():
  def whole(params, settings, carry, inputs, product=products.product):
    (x,) = product(inputs, params['kernel'])
    return advance(params, settings, carry, split(params, x), product)

  cell = dataclasses.replace(CELL, project=None, advance=None, step=whole)
  check_cell.check_cell(cell)
  operands, mask = draw(3, 2)
  left, right = (
    jax.jit(jax.grad(functools.partial(loss, 'fused', mask, cell=one)))(
      operands
    )
    for one in (cell, CELL)
  )
  assert_close(left, right, 1e-12)


def test_a_cell_said_to_be_fused_that_cannot_be_is_refused():
  check_cell.check_cell(CELL)
  hidden = dataclasses.replace(
    CELL, step=lambda *operands: (operands[2], 0 * operands[2].h)
  )
  with pytest.raises(ValueError, match='fused needs a carry.*h is what step'):
    check_cell.check_cell(hidden)
  four = dataclasses.replace(
    CELL, advance=lambda params, settings, carry, x: (carry, carry.h)
  )
  with pytest.raises(ValueError, match='fused fails.*takes product'):
    check_cell.check_cell(four)
