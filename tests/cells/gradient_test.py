"""The gradient of the scan against plain autodiff of the step."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_variants as lv
from lstm_variants.cells import gradient, lstm, unroll
from tests.cells import settings

F, H = 2, 3
RANDOM = 100
# Steps, below a block of the backward scan and beyond one; with a mask; dtype.
CASES = (
  (1, True, 'float64'),
  (7, False, 'float32'),
  (300, True, 'float32'),
)
TOLERANCE = {'float64': 1e-12, 'float32': 1e-5}


def draw(seed, time, batch, dtype):
  """Return (params, inputs, carry), and the weights of the loss.

  Over long times weights are small: a setting without gates and activations is
  a linear recurrence that grows exponentially.
  """
  size = 0.5 if time < 100 else 0.02
  rng = np.random.default_rng(seed)

  def normal(*shape, scale=1.0):
    return jnp.asarray(scale * rng.normal(size=shape), dtype)

  params = lv.Params(
    normal(F, 4 * H, scale=size),
    normal(H, 4 * H, scale=size),
    normal(4 * H, scale=size),
    normal(3, H, scale=size),
    normal(3 * H, 3 * H, scale=size),
  )
  carry = tuple(normal(batch, size, scale=0.7) for size in (H, H, 3 * H))
  weights = (normal(batch, time, H), *(normal(*c.shape) for c in carry))
  return (params, normal(batch, time, F), carry), weights


def plain(params, toggles, inputs, carry, mask):
  """Unroll by `lax.scan` of `lstm.advance`, the home of the equations."""

  def body(carry, xs):
    x_t, mask_t = xs
    new, _ = lstm.advance(params, toggles, carry, x_t)
    if mask_t is not None:
      new = jax.tree.map(
        lambda n, o: jnp.where(mask_t[:, None], n, o), new, carry
      )
    return new, new.h

  carry = lstm.fit_carry(toggles, carry)
  mask = None if mask is None else mask.T
  carry, hiddens = jax.lax.scan(body, carry, (inputs.swapaxes(0, 1), mask))
  return carry, hiddens.swapaxes(0, 1)


def ours(params, toggles, inputs, carry, mask):
  return lv.unroll(params, toggles, inputs, carry, mask=mask)


def loss(run, weights, toggles, mask, operands):
  params, inputs, carry = operands
  carry, hiddens = run(params, toggles, inputs, carry, mask)
  outs = (hiddens, *carry)
  return sum(
    jnp.sum(jnp.sin(o) * w) for o, w in zip(outs, weights, strict=False)
  )


def grad(run, weights, toggles, mask, operands):
  # As one program: operation by operation, each would be compiled by itself.
  return jax.jit(
    jax.value_and_grad(functools.partial(loss, run, weights, toggles, mask))
  )(operands)


def assert_close(left, right, tolerance):
  for a, b in zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True):
    scale = max(1.0, float(np.max(np.abs(b), initial=0)))
    np.testing.assert_allclose(a / scale, b / scale, rtol=0, atol=tolerance)


@pytest.fixture(scope='module', autouse=True)
def _double():
  with jax.enable_x64(True):
    yield


def some_mask(time, batch):
  """Lengths from 0 to `time`, and a hole."""
  lengths = np.linspace(time, 0, batch).astype(int)
  mask = np.arange(time) < lengths[:, None]
  mask[0, time // 2] = False
  return jnp.asarray(mask)


@pytest.mark.parametrize('time, masked, dtype', CASES)
def test_a_hundred_settings_under_vmap_equal_autodiff(time, masked, dtype):
  rng = np.random.default_rng(time)
  listed = [settings.random_toggles(rng) for _ in range(RANDOM)]
  if time > 100:  # without the gate, and activations, rounding explodes
    listed = [toggles._replace(forget_gate=True) for toggles in listed]
  toggles = jax.tree.map(lambda *x: jnp.stack(x), *map(_arrays, listed))
  operands, weights = draw(time, time, 3, dtype)
  mask = some_mask(time, 3) if masked else None

  def run(u, operands, weights):
    one = functools.partial(grad, u, weights)
    found = jax.jit(jax.vmap(lambda t: one(t, mask, operands)))(toggles)
    return jax.tree.map(np.asarray, found)

  wide = jax.tree.map(lambda x: x.astype('float64'), (operands, weights))
  left, right = (run(u, operands, weights) for u in (ours, plain))
  exact = right if dtype == 'float64' else run(plain, *wide)
  assert all(np.all(np.isfinite(x)) for x in jax.tree.leaves(exact))
  for index in range(RANDOM):
    trees = (settings.pick(r, index) for r in (left, right, exact))
    for a, b, e in zip(*map(jax.tree.leaves, trees), strict=True):
      # Rounding grows with what the setting itself amplifies: as plain's.
      allowed = TOLERANCE[dtype] * max(1.0, np.max(np.abs(e), initial=0))
      allowed += 4 * np.max(np.abs(b - e), initial=0)
      np.testing.assert_allclose(a, e, rtol=0, atol=allowed)


def _arrays(toggles):
  return jax.tree.map(jnp.asarray, toggles)


@pytest.mark.parametrize('batch, time', [(64, 24), (513, 3), (1, 600)])
def test_blocks_of_any_size_add_up(batch, time):
  """Rows of a block: 512. Blocks and no rest, one step a block, a rest."""
  toggles = lv.VARIANTS['peephole'].toggles
  operands, weights = draw(1, time, batch, 'float64')
  left, right = (
    grad(u, weights, toggles, None, operands) for u in (ours, plain)
  )
  assert_close(left, right, 1e-12)


@pytest.mark.parametrize('name', ['fgr', 'niaf'])
def test_the_second_derivative_equals_autodiff(name):
  toggles = lv.VARIANTS[name].toggles
  operands, weights = draw(2, 4, 2, 'float64')

  def squared(run, operands):
    first = jax.grad(functools.partial(loss, run, weights, toggles, None))
    return sum(jnp.sum(g**2) for g in jax.tree.leaves(first(operands)))

  left, right = (
    jax.jit(jax.grad(functools.partial(squared, u)))(operands)
    for u in (ours, plain)
  )
  assert_close(left, right, 1e-10)


def test_forward_mode_is_refused_by_name_and_served_by_autodiff():
  operands, weights = draw(2, 4, 2, 'float64')
  tangents = jax.tree.map(jnp.ones_like, operands)

  def run(how, params, toggles, inputs, carry, mask):
    return lv.unroll(params, toggles, inputs, carry, mask=mask, gradient=how)

  def along(u):
    f = functools.partial(loss, u, weights, lv.Toggles(), None)
    return jax.jit(functools.partial(jax.jvp, f))((operands,), (tangents,))

  with pytest.raises(TypeError, match='forward-mode'):
    along(functools.partial(run, 'fused'))
  assert_close(along(functools.partial(run, 'autodiff')), along(plain), 1e-12)
  with pytest.raises(ValueError, match="gradient='fast'.*fused or autodiff"):
    along(functools.partial(run, 'fast'))


def test_bfloat16_gradients_are_close_and_stay_bfloat16():
  toggles = lv.VARIANTS['fgr'].toggles
  operands, weights = draw(4, 40, 3, 'float32')
  exact = grad(ours, weights, toggles, None, operands)[1]
  halves = jax.tree.map(lambda x: x.astype(jnp.bfloat16), (operands, weights))
  rough = grad(ours, halves[1], toggles, None, halves[0])[1]
  assert {x.dtype for x in jax.tree.leaves(rough)} == {jnp.dtype('bfloat16')}
  rough = jax.tree.map(lambda x: x.astype(jnp.float32), rough)
  assert_close(rough, exact, 0.1)


@pytest.mark.parametrize('segment', [1, 4, 5, 50])
def test_segments_leave_outputs_and_gradients_alone(segment):
  operands, weights = draw(7, 12, 2, 'float64')
  toggles = lv.VARIANTS['peephole'].toggles

  def segmented(params, toggles, inputs, carry, mask):
    del mask
    carry, hiddens = unroll.in_segments(
      lambda c, x: lv.unroll(params, toggles, x, c, time_major=True),
      segment,
      lv.Carry(*carry[:2]),
      inputs.swapaxes(0, 1),
    )
    return carry, hiddens.swapaxes(0, 1)

  left, right = (
    grad(u, weights, toggles, None, operands) for u in (segmented, ours)
  )
  assert_close(left, right, 1e-12)


def test_a_segment_without_a_step_is_refused():
  with pytest.raises(ValueError, match='segment=0 must be at least 1 step'):
    unroll.in_segments(lambda c, x: (c, x), 0, None, jnp.zeros((3, 1)))


def test_the_gradient_of_the_weights_is_not_carried_through_the_scan():
  """The loop over steps holds no array of the size of the kernel's gradient."""
  operands, weights = draw(8, 40, 16, 'float64')
  text = str(
    jax.make_jaxpr(lambda o: grad(ours, weights, lv.Toggles(), None, o))(
      operands
    )
  )
  assert 'custom_vjp' not in text  # it was differentiated
  inner = [line for line in text.splitlines() if 'length=32' in line]
  assert inner and gradient._BLOCK_ROWS // 16 == 32


def test_without_a_gradient_nothing_is_kept():
  params = jax.eval_shape(lambda: lv.init_params(jax.random.key(0), F, 32))
  inputs = jax.ShapeDtypeStruct((16, 500, F), jnp.float32)

  def last(params, inputs):
    return lv.unroll(params, lv.Toggles(), inputs)[0].h

  analysis = jax.jit(last).lower(params, inputs).compile().memory_analysis()
  hiddens = 16 * 500 * 32 * 4
  assert analysis is not None and analysis.temp_size_in_bytes < hiddens


def test_an_empty_batch_has_a_gradient_of_zero():
  (params, inputs, _), _ = draw(0, 5, 2, 'float64')
  slope = jax.jit(
    jax.grad(lambda p: jnp.sum(lv.unroll(p, lv.Toggles(), inputs[:0])[1]))
  )(params)
  assert not any(np.any(leaf) for leaf in jax.tree.leaves(slope))


def test_traced_toggles_that_are_not_scalars_are_refused():
  (params, inputs, _), _ = draw(6, 5, 2, 'float64')
  toggles = lv.Toggles(input_gate=jnp.asarray([[True], [False]]))
  with pytest.raises(ValueError, match=r'input_gate: an array \[2, 1\], must'):
    lv.unroll(params, toggles, inputs)


@pytest.mark.parametrize(
  'gradient, checked', [('fused', True), ('fused', False), ('autodiff', True)]
)
def test_sequences_spread_over_devices_have_the_gradient_of_all(
  gradient, checked
):
  operands, _ = draw(0, 7, 4, jnp.float32)
  params, inputs, _ = operands

  def loss(params, inputs):
    _, hiddens = lv.unroll(params, lv.Toggles(), inputs, gradient=gradient)
    return jnp.sum(hiddens**2)

  mesh = jax.make_mesh(
    (2,), ('batch',), axis_types=(jax.sharding.AxisType.Auto,)
  )
  spread = jax.shard_map(
    lambda params, inputs: jax.lax.psum(loss(params, inputs), 'batch'),
    mesh=mesh,
    in_specs=(jax.P(), jax.P('batch')),
    out_specs=jax.P(),
    check_vma=checked,
  )
  jax.tree.map(
    functools.partial(np.testing.assert_allclose, rtol=1e-5),
    jax.jit(jax.grad(spread))(params, inputs),
    jax.jit(jax.grad(loss))(params, inputs),
  )


def test_inputs_sharded_over_explicit_axes_are_refused():
  (params, inputs, _), _ = draw(0, 7, 4, jnp.float32)
  mesh = jax.make_mesh(
    (2,), ('batch',), axis_types=(jax.sharding.AxisType.Explicit,)
  )
  spread = jax.device_put(inputs, jax.NamedSharding(mesh, jax.P('batch')))
  with pytest.raises(ValueError, match=r'explicit.*use axes of AxisType.Auto'):
    lv.unroll(params, lv.Toggles(), spread)


@pytest.mark.parametrize('shape', [(4, 7), (4, 0), (0, 7)])
def test_an_unknown_gradient_is_refused_whatever_there_is_to_do(shape):
  (params, *_), _ = draw(0, 1, 1, jnp.float32)
  kind: Any = 'fast'
  with pytest.raises(ValueError, match="gradient='fast' must be fused or"):
    lv.unroll(params, lv.Toggles(), jnp.ones((*shape, F)), gradient=kind)


def test_masks_may_be_lists():
  (params, inputs, _), _ = draw(0, 2, 2, jnp.float32)
  rows: Any = [[True, False], [True, True]]
  one, two = (
    lv.unroll(params, lv.Toggles(), inputs, mask=mask)
    for mask in (rows, jnp.asarray(rows))
  )
  jax.tree.map(np.testing.assert_array_equal, one, two)
