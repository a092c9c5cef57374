"""All steps at once: the same as in turn, or it says that it is not."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_variants as lv
from lstm_variants import cells
from lstm_variants.cells import lstm, newton

FEATURES, HIDDEN, BATCH = 2, 4, 3
DIAGONAL = [name for name, cell in cells.CELLS.items() if cell.diagonal]
VARIANTS = list(lv.VARIANTS)


def draw(name: str, toggles: Any, time: int, seed: int = 0) -> Any:
  """Draw a cell that is far from linear, inputs and a state it reaches."""
  cell = cells.CELLS[name]
  settings = toggles if cell.toggled else cell.settings
  keys = iter(jax.random.split(jax.random.key(seed), 20))
  params = cell.init_params(next(keys), FEATURES, HIDDEN, settings=settings)
  params = jax.tree.map(
    lambda p: p + 0.3 * jax.random.normal(next(keys), p.shape), params
  )
  inputs = jax.random.normal(next(keys), (BATCH, time, FEATURES))
  carry, _ = jax.jit(lambda x: cell.unroll(params, settings, x))(inputs[:, :3])
  return cell, params, settings, inputs, carry


def is_array(leaf: Any) -> bool:
  return isinstance(leaf, jax.Array)


def assert_close(left, right, atol):
  pairs = zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True)
  for a, b in pairs:
    np.testing.assert_allclose(a, b, rtol=atol, atol=atol)


def all_variants() -> lstm.Toggles:
  """Return the toggles of all variants, side by side."""
  toggles = (lv.VARIANTS[name].toggles for name in VARIANTS)
  return lstm.Toggles(*map(jnp.array, zip(*toggles, strict=True)))


def variants_both_ways(time: int, tolerance: float) -> Any:
  """Return `loss` by Newton's method and by the scan, and its operands.

  One program for all the variants, with a mask.
  """
  mask = np.ones((BATCH, time), bool)
  mask[0, 5:9] = mask[1, time // 2 :] = False
  fgr = lv.VARIANTS['fgr'].toggles
  operands = draw('diagonal_lstm', fgr, time)
  cell, params, _, inputs, carry = jax.tree.map(
    lambda leaf: jnp.asarray(leaf, float) if is_array(leaf) else leaf,
    operands,
  )

  def loss(run, params, inputs, carry, toggles):
    last, hiddens, *report = run(params, toggles, inputs, carry, mask=mask)
    value = jnp.mean(jnp.sin(3 * hiddens)) + jnp.mean(jnp.cos(last.c))
    return value, (last, hiddens, report)

  def newtons(*operands, **options):
    return newton.unroll(cell, *operands, tolerance=tolerance, **options)

  ways = [functools.partial(loss, run) for run in (newtons, cell.unroll)]
  return ways, (params, inputs, carry)


def test_every_variant_is_the_scan_in_values_and_gradients():
  tolerance = 1e-13
  with jax.enable_x64(True):
    ways, operands = variants_both_ways(24, tolerance)

    def both(toggles):
      return [
        jax.value_and_grad(way, argnums=(0, 1, 2), has_aux=True)(
          *operands, toggles
        )
        for way in ways
      ]

    parallel, in_turn = jax.tree.map(
      np.asarray, jax.jit(jax.vmap(both))(all_variants())
    )
  ((_, (last, hiddens, (report,))), gradient) = parallel
  ((_, (*others, _)), expected) = in_turn
  assert report.converged.all() and (report.iterations >= 3).all()
  assert (report.residual <= tolerance).all()
  assert_close((last, hiddens, gradient), (*others, expected), 1e-10)
  assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(gradient))


def test_every_variant_is_the_scan_in_single_precision():
  ways, operands = variants_both_ways(48, 1e-6)
  parallel, in_turn = jax.jit(
    jax.vmap(lambda toggles: [way(*operands, toggles)[1] for way in ways])
  )(all_variants())
  last, hiddens, (report,) = parallel
  assert report.converged.all() and (report.iterations >= 3).all()
  assert_close((last, hiddens), in_turn[:2], 1e-5)


@pytest.mark.parametrize('name', ['indrnn', 'minlstm'])
def test_other_diagonal_cells_are_the_scan_with_their_gradient(name):
  cell, params, settings, inputs, carry = draw(name, None, 40)

  def loss(run, params):
    _, hiddens, *report = run(params, settings, inputs, carry)
    return jnp.mean(jnp.sin(hiddens)), (hiddens, report)

  newtons = functools.partial(newton.unroll, cell)
  ((_, (hiddens, (report,))), gradient), ((_, (others, _)), expected) = (
    jax.jit(jax.value_and_grad(functools.partial(loss, run), has_aux=True))(
      params
    )
    for run in (newtons, cell.unroll)
  )
  assert bool(report.converged)
  assert_close((hiddens, gradient), (others, expected), 2e-5)


def test_it_falls_back_to_the_scan_and_says_so():
  cell, params, settings, inputs, carry = draw(
    'diagonal_lstm', lstm.Toggles(), 60
  )

  def loss(params, inputs, run):
    last, hiddens, *report = run(params, settings, inputs, carry)
    return jnp.mean(jnp.sin(hiddens)), (last, hiddens, *report)

  def run(iterations):
    run = functools.partial(newton.unroll, cell, iterations=iterations)
    program = jax.value_and_grad(functools.partial(loss, run=run), has_aux=True)
    (_, (*found, report)), gradient = jax.jit(program)(params, inputs)
    return found, report, gradient

  (_, expected), slopes = jax.jit(
    jax.value_and_grad(functools.partial(loss, run=cell.unroll), has_aux=True)
  )(params, inputs)
  found, report, gradient = run(1)
  assert not report.converged and report.residual > 1e-6
  assert report.iterations == 1
  assert_close(found, expected, 2e-6)
  assert_close(gradient, slopes, 2e-5)
  _, report, gradient = run(50)
  assert report.converged and 1 < report.iterations < 50
  assert_close(gradient, slopes, 2e-5)


def test_states_that_are_not_finite_fall_back_too():
  cell, params, settings, inputs, _ = draw('diagonal_lstm', lstm.Toggles(), 20)
  broken = inputs.at[0, 3].set(jnp.nan)
  (_, hiddens, report), (_, expected) = jax.jit(
    lambda x: (
      newton.unroll(cell, params, settings, x),
      cell.unroll(params, settings, x),
    )
  )(broken)
  hiddens = np.asarray(hiddens)
  assert not report.converged
  np.testing.assert_array_equal(np.isnan(hiddens), np.isnan(expected))
  assert np.isfinite(hiddens[1:]).all()


def test_no_step_is_the_carry_itself():
  cell, params, settings, inputs, carry = draw(
    'diagonal_lstm', lstm.Toggles(), 4
  )
  last, hiddens, report = newton.unroll(
    cell, params, settings, inputs[:, :0], carry
  )
  assert hiddens.shape == (BATCH, 0, HIDDEN) and report.converged
  assert_close(last, carry, 0)


def test_time_major_swaps_the_axes():
  cell, params, settings, inputs, _ = draw('diagonal_lstm', lstm.Toggles(), 9)

  def run(inputs, time_major):
    return newton.unroll(cell, params, settings, inputs, time_major=time_major)[
      1
    ]

  hiddens, turned = jax.jit(
    lambda x: (run(x, False), run(jnp.swapaxes(x, 0, 1), True))
  )(inputs)
  np.testing.assert_array_equal(jnp.swapaxes(turned, 0, 1), hiddens)


def test_cells_whose_units_mix_and_limits_out_of_range_are_refused():
  cell, params, settings, inputs, _ = draw('diagonal_lstm', lstm.Toggles(), 4)
  with pytest.raises(ValueError, match='see each other.*nearest'):
    newton.unroll(cells.CELLS['gru'], params, None, inputs)
  with pytest.raises(ValueError, match='tolerance=0.0.*nearest'):
    newton.unroll(cell, params, settings, inputs, tolerance=0.0)
  with pytest.raises(ValueError, match='iterations=0.*nearest'):
    newton.unroll(cell, params, settings, inputs, iterations=0)


@pytest.mark.parametrize(
  'variant, scale', [('nfg', 1.0), ('vanilla', 1.5), ('vanilla', 2.0)]
)
def test_long_sequences_of_expanding_cells_are_the_scan(variant, scale):
  """The products of slopes overflow there; a NaN must not pass for a root."""
  toggles = lv.VARIANTS[variant].toggles
  cell = cells.CELLS['diagonal_lstm']
  params = cell.init_params(jax.random.key(0), FEATURES, 32, settings=toggles)
  params = jax.tree.map(lambda leaf: scale * leaf, params)
  inputs = jax.random.normal(jax.random.key(1), (1, 1000, FEATURES))

  def loss(params, run):
    _, hiddens, *report = run(params, toggles, inputs)
    return jnp.mean(jnp.square(hiddens[:, :100])), (hiddens, report)

  (_, (hiddens, (report,))), gradient = jax.jit(
    jax.value_and_grad(
      lambda p: loss(p, functools.partial(newton.unroll, cell)), has_aux=True
    )
  )(params)
  (_, (expected, _)), slopes = jax.jit(
    jax.value_and_grad(lambda p: loss(p, cell.unroll), has_aux=True)
  )(params)
  assert np.isfinite(hiddens).all()
  # Both round, and such a cell makes more of it: 2e-5 was seen.
  atol = 1e-4 if report.converged else 1e-6
  np.testing.assert_allclose(hiddens, expected, atol=atol)
  for a, b in zip(*map(jax.tree.leaves, (gradient, slopes)), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6)


def test_a_small_residual_of_a_wrong_state_is_not_taken():
  # u = 2: an error doubles at each step, and the residual does not show it.
  cell = cells.CELLS['indrnn']
  settings = cell.settings._replace(recurrent_limit=2.0)
  params = cell.init_params(jax.random.key(0), 1, 2, settings=settings)
  params = jax.tree.map(lambda leaf: jnp.full_like(leaf, 1e-30), params)
  params = params._replace(recurrent_weight=jnp.full((2,), 2.0))
  inputs = jnp.ones((1, 150, 1))
  (_, hiddens, report), (_, expected) = jax.jit(
    lambda x: (
      newton.unroll(cell, params, settings, x),
      cell.unroll(params, settings, x),
    )
  )(inputs)
  np.testing.assert_allclose(hiddens, expected, rtol=1e-4)
  # The first iteration has a small residual; it is taken once it stays.
  assert report.iterations > 1 and report.update <= 1e-3


def test_an_overflow_after_the_error_leaves_the_gradient_finite():
  toggles = lv.VARIANTS['niaf'].toggles
  cell = cells.CELLS['diagonal_lstm']
  params = cell.init_params(
    jax.random.key(0), FEATURES, HIDDEN, settings=toggles
  )
  params = params._replace(recurrent_kernel=8 * params.recurrent_kernel)
  inputs = jnp.zeros((1, 1000, FEATURES))

  def loss(params, run):
    return jnp.sum(run(params, toggles, inputs)[1][:, :10])

  gradient, expected = (
    jax.jit(jax.grad(functools.partial(loss, run=run)))(params)
    for run in (functools.partial(newton.unroll, cell), cell.unroll)
  )
  for a, b in zip(*map(jax.tree.leaves, (gradient, expected)), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6)
