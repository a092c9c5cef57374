"""Initial weights and biases: orthogonality, pairing, forget bias, chrono."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import lstm_variants as lv
from lstm_variants.cells import initializers
from tests.cells import settings

HIDDEN = 16
NAMES = [n for n, v in lv.VARIANTS.items() if not v.alias_of]
COUPLED = [n for n, v in lv.VARIANTS.items() if v.toggles.coupled]


@functools.cache
def initial(name: str, seed: int = 0, **kwargs) -> lv.Params:
  params = lv.init_params(
    jax.random.key(seed),
    2,
    HIDDEN,
    toggles=lv.VARIANTS[name].toggles,
    recurrent_init='uniform',
    **kwargs,
  )
  return jax.tree.map(np.asarray, params)


@functools.partial(jax.jit, static_argnames=('size', 'dtype', 'count'))
def draw_orthogonal(key, size, dtype, count):
  def draw(key):
    return initializers.orthogonal(key, (size, size), dtype)

  return jax.vmap(draw)(jax.random.split(key, count))


@pytest.mark.parametrize('size', [1, 2, 64, 256])
@pytest.mark.parametrize(
  ('dtype', 'atol'), [('float32', 3e-6), ('float64', 1e-14), ('bfloat16', 0.02)]
)
def test_orthogonal_matrices_are_orthogonal(size, dtype, atol):
  with jax.enable_x64(dtype == 'float64'):
    matrix = draw_orthogonal(jax.random.key(0), size, dtype, 2)
    assert matrix.dtype == dtype
    q = np.asarray(matrix.astype(jnp.promote_types(dtype, 'float32')))
  gram = np.swapaxes(q, 1, 2) @ q
  np.testing.assert_allclose(gram - np.eye(size), 0, atol=atol)


def test_orthogonal_matrices_spread_evenly_over_the_group():
  q = np.asarray(draw_orthogonal(jax.random.key(1), 3, 'float32', 4000))
  q = q.astype(np.float64)
  signs = np.linalg.det(q) > 0
  assert 0.45 < signs.mean() < 0.55
  # A coordinate of a uniform point on the sphere in three dimensions is uniform
  # (Archimedes), for every entry of the matrix.
  for row, column in np.ndindex(3, 3):
    test = scipy.stats.kstest(q[:, row, column], 'uniform', args=(-1, 2))
    assert test.pvalue > 1e-4
  # Haar: the trace of Q in O(3) has mean 0 and variance 1.
  trace = np.trace(q, axis1=1, axis2=2)
  assert abs(trace.mean()) < 0.06 and abs(trace.var() - 1) < 0.1


def test_orthogonal_is_the_same_alone_under_jit_and_under_vmap():
  keys = jax.random.split(jax.random.key(1), 4000)
  batch = draw_orthogonal(jax.random.key(1), 3, 'float32', 4000)
  alone = initializers.orthogonal(keys[2], (3, 3), jnp.float32)
  np.testing.assert_allclose(batch[2], alone, atol=1e-6)


def test_recurrent_blocks_are_orthogonal_gate_by_gate():
  params = lv.init_params(jax.random.key(0), 2, 32)
  blocks = np.split(np.asarray(params.recurrent_kernel), 4, axis=1)
  for block in blocks:
    np.testing.assert_allclose(np.linalg.svd(block)[1], 1.0, atol=1e-5)
  for one in range(4):
    for two in range(one):
      assert np.max(np.abs(blocks[one] - blocks[two])) > 0.1


def test_lecun_input_weights_have_variance_one_over_in_features():
  kernel = lv.init_params(jax.random.key(0), 64, 128).kernel
  assert np.var(kernel) == pytest.approx(1 / 64, rel=0.05)


def test_uniform_weights_fill_the_interval_of_one_over_root_hidden():
  params = lv.init_params(jax.random.key(0), 16, 64, recurrent_init='uniform')
  for leaf in (params.kernel, params.recurrent_kernel):
    assert np.max(np.abs(leaf)) <= 1 / 8
    test = scipy.stats.kstest(np.ravel(leaf), 'uniform', args=(-1 / 8, 1 / 4))
    assert test.pvalue > 1e-4


def test_an_unknown_initialiser_is_refused():
  with pytest.raises(ValueError, match='recurrent_init'):
    lv.init_params(jax.random.key(0), 2, 3, recurrent_init='zero')


def test_equal_keys_give_equal_blocks_whatever_the_variant_but_coupled_bias():
  whole = blocks_of(lv.VARIANTS['fgr'].toggles._asdict(), every_weight())
  for name in NAMES:
    toggles = lv.VARIANTS[name].toggles._asdict()
    for place, block in blocks_of(toggles, initial(name)).items():
      if name in COUPLED and place == ('bias', 'i'):
        assert np.any(block != whole[place])
      else:
        np.testing.assert_array_equal(block, whole[place])


def every_weight(seed: int = 0) -> lv.Params:
  """Return the weights of a run among runs of all the variants."""
  traced = jax.tree.map(jnp.asarray, lv.Toggles())
  params = lv.init_params(
    *(jax.random.key(seed), 2, HIDDEN), toggles=traced, recurrent_init='uniform'
  )
  return jax.tree.map(np.asarray, params)


def blocks_of(on, params: lv.Params) -> dict[tuple[str, str], np.ndarray]:
  """Return the blocks in use, by leaf and gate, written out by hand."""
  gates = ['i'] * on['input_gate']
  gates += ['f'] * (on['forget_gate'] and not on['coupled']) + ['g']
  gates += ['o'] * on['output_gate']
  peepholes = [k for k in 'ifo' if on[f'peephole_{k}']]
  found = {}
  for leaf in ('kernel', 'recurrent_kernel', 'bias'):
    parts = np.split(getattr(params, leaf), len(gates), axis=-1)
    found |= {(leaf, k): v for k, v in zip(gates, parts, strict=True)}
  for leaf, array in (('p', params.peephole), ('G', params.gate_kernel)):
    wanted = peepholes if leaf == 'p' else 'ifo' * on['gate_recurrence']
    assert (array is None) == (not wanted)
    if array is not None:
      parts = np.split(array, len(wanted), axis=0 if leaf == 'p' else 1)
      found |= {(leaf, k): v for k, v in zip(wanted, parts, strict=True)}
  return found


def test_leaves_differ_between_keys_and_from_one_another():
  one, two = every_weight(0), every_weight(1)
  for field in ('kernel', 'recurrent_kernel', 'peephole', 'gate_kernel'):
    assert np.all(getattr(one, field) != getattr(two, field))
  bound = one.recurrent_kernel / 4
  assert abs(np.corrcoef(bound[:2].ravel(), one.kernel.ravel())[0, 1]) < 0.5


def test_every_leaf_has_the_dtype_asked_for():
  params = lv.init_params(
    *(jax.random.key(0), 2, 3), toggles='fgr', dtype=jnp.bfloat16
  )
  leaves = jax.tree.leaves(params)
  assert len(leaves) == 5
  assert {leaf.dtype for leaf in leaves} == {jnp.dtype('bfloat16')}


def initial_forget_gates(params: lv.Params, toggles: lv.Toggles):
  """Read f off c' = f c + i tanh(0) at zero input and a tiny c."""
  tiny = jnp.full((HIDDEN,), 1e-6)
  carry, _ = lv.step(params, toggles, (tiny, 0 * tiny), jnp.zeros((2,)))
  return carry.c / tiny


def start(toggles: lv.Toggles, forget_bias: float) -> jax.Array:
  params = lv.init_params(
    jax.random.key(0),
    2,
    HIDDEN,
    toggles=toggles,
    forget_bias=forget_bias,
    recurrent_init='uniform',
  )
  return initial_forget_gates(params, toggles)


START_TRACED = jax.jit(jax.vmap(start, (0, None)))


def expected_forget_gate(toggles: lv.Toggles, forget_bias: float) -> float:
  return 1 / (1 + np.exp(-forget_bias)) if toggles.forget_gate else 1.0


@pytest.mark.parametrize('name', NAMES)
def test_every_variant_starts_with_its_forget_gate_at_the_forget_bias(name):
  toggles = lv.VARIANTS[name].toggles
  expected = expected_forget_gate(toggles, 3.0)
  gate = jax.jit(start, static_argnums=(0, 1))(toggles, 3.0)
  np.testing.assert_allclose(gate, expected, atol=1e-5)


def test_traced_variants_start_with_their_forget_gates_at_the_forget_bias():
  settled = settings.all_settings()
  for forget_bias in (-1.0, 0.0, 1.0, 3.0):
    gates = START_TRACED(settings.stack_toggles(settled), forget_bias)
    for toggles, gate in zip(settled, gates, strict=True):
      expected = expected_forget_gate(toggles, forget_bias)
      np.testing.assert_allclose(gate, expected, atol=1e-5)


def test_the_forget_bias_touches_no_bias_but_the_forget_gates():
  bias = initial('vanilla', forget_bias=2.5).bias.reshape(4, HIDDEN)
  np.testing.assert_array_equal(bias[1], np.full(HIDDEN, 2.5, np.float32))
  np.testing.assert_array_equal(bias[[0, 2, 3]], np.zeros((3, HIDDEN)))


@pytest.mark.parametrize('coupled', [False, True])
@pytest.mark.parametrize('t_max', [3.0, 100.0, 1000.0])
def test_chrono_biases_follow_equation_16(t_max, coupled):
  bias = initializers.gate_bias(
    jax.random.key(2), 4000, coupled, forget_bias=9.0, chrono_t_max=t_max
  )
  b_i, b_f, b_g, b_o = np.split(np.asarray(bias, np.float64), 4)
  np.testing.assert_array_equal(b_i, -b_f)
  assert not b_g.any() and not b_o.any()
  spread = np.exp(b_f)
  assert 1 - 1e-5 <= spread.min() and spread.max() <= (t_max - 1) * (1 + 1e-5)
  test = scipy.stats.kstest(spread, 'uniform', args=(1, t_max - 2))
  assert test.pvalue > 1e-3


@pytest.mark.parametrize('name', ['vanilla', 'coupled', 'janet'])
def test_chrono_makes_a_variant_remember_for_1_to_t_max_less_1_steps(name):
  params = initial(name, 3, chrono_t_max=50.0)
  gates = initial_forget_gates(params, lv.VARIANTS[name].toggles)
  # f = sigma(log u) is u / (1 + u), u from U[1, T_max - 1].
  steps = gates / (1 - gates)
  assert np.min(steps) > 0.99 and np.max(steps) < 49.1 and np.ptp(steps) > 20


def test_chrono_and_coupling_may_be_traced():
  draw = functools.partial(initializers.gate_bias, jax.random.key(3), 8)
  traced = jax.jit(draw)
  for coupled in (False, True):
    for chrono in (0.0, 50.0):
      np.testing.assert_allclose(
        traced(coupled, 2.0, chrono), draw(coupled, 2.0, chrono), atol=1e-6
      )


def test_constant_biases_do_not_depend_on_the_key():
  np.testing.assert_array_equal(
    initial('coupled', 0).bias, initial('coupled', 1).bias
  )


@pytest.mark.parametrize('t_max', [-5, 2, 2.9])
def test_a_chrono_length_below_three_steps_is_refused(t_max):
  with pytest.raises(ValueError, match='neither 0 nor at least 3'):
    lv.init_params(jax.random.key(0), 2, 3, chrono_t_max=t_max)
