"""The LSTM's forward pass against the papers' equations, and its structure."""

import copy
import functools
import pickle
from typing import Any

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_variants as lv
from lstm_variants.cells import gates, lstm
from tests.cells import settings

UNROLL = jax.jit(lv.unroll, static_argnums=1)


@functools.cache
def reference(index: int):
  toggles, cases = settings.all_cases()
  case = cases[index]
  return settings.run_reference(
    toggles[index], case.params, case.inputs, case.carry
  )


def assert_equals_reference(run: settings.Run, index: int, atol: float):
  hiddens, (c, h, gates) = reference(index)
  np.testing.assert_allclose(run.hiddens, hiddens, rtol=0, atol=atol)
  np.testing.assert_allclose(run.carry.c, c, rtol=0, atol=atol)
  np.testing.assert_allclose(run.carry.h, h, rtol=0, atol=atol)
  toggles = settings.all_cases()[0][index]
  if toggles.gate_recurrence:
    np.testing.assert_allclose(run.carry.gates, gates, rtol=0, atol=atol)


@pytest.mark.parametrize(('double', 'atol'), [(True, 1e-12), (False, 1e-5)])
def test_every_traced_setting_equals_the_papers_equations(double, atol):
  run = settings.all_runs(double)
  assert run.hiddens.dtype == (np.float64 if double else np.float32)
  assert len(set(settings.all_cases()[0])) >= 128
  for index in range(len(settings.all_cases()[0])):
    assert_equals_reference(settings.pick(run, index), index, atol)


def test_a_step_takes_any_batch_dimensions_and_a_plain_pair():
  case = settings.random_case(4, gates=False)
  params, x, (c, h, _) = jax.tree.map(
    jnp.asarray, (case.params, case.inputs[:, 0], case.carry)
  )
  toggles = lv.VARIANTS['fgr'].toggles
  _, expected = lv.step(params, toggles, (c, h), x)
  _, single = lv.step(params, toggles, (c[0], h[0]), x[0])
  _, nested = lv.step(params, toggles, (c[:, None], h[:, None]), x[:, None])
  assert single.shape == (3,) and nested.shape == (2, 1, 3)
  np.testing.assert_allclose(single, expected[0], atol=1e-6)
  np.testing.assert_allclose(nested[:, 0], expected, atol=1e-6)


@pytest.mark.parametrize('name', lv.Toggles._fields)
def test_every_toggle_changes_the_output(name):
  bases = {'coupling_shift': lv.Toggles(coupled=True)}
  base = bases.get(name, lv.Toggles())
  value: Any = 1.0 if name == 'coupling_shift' else not getattr(base, name)
  other = base._replace(**{name: value})
  toggles, cases = settings.all_cases()
  rows = [base, other] + toggles[2:]
  case = settings.stack_cases([settings.random_case(1, False)] * 2 + cases[2:])
  with jax.enable_x64(True):
    hiddens = settings.run_traced(rows, case).hiddens
  assert np.max(np.abs(hiddens[0] - hiddens[1])) > 1e-3


@pytest.mark.parametrize('scale', [1.0, 1e4])
def test_contradicting_traced_toggles_and_huge_inputs_stay_finite(scale):
  rng = np.random.default_rng(5)
  toggles, cases = settings.all_cases()
  coins = rng.random((len(toggles), len(lv.Toggles._fields))) < 0.5
  rows = [
    lv.Toggles(*map(bool, row))._replace(coupling_shift=float(rng.normal()))
    for row in coins
  ]
  case = settings.stack_cases(cases)
  for settled in (rows, toggles):
    run = settings.run_traced(
      settled, case._replace(inputs=scale * case.inputs)
    )
    for leaf in jax.tree.leaves(run):
      assert np.all(np.isfinite(leaf))


def test_a_missing_gate_stays_one_whatever_traced_toggles_feed_it():
  toggles, cases = settings.all_cases()
  feeds = {'peephole_i': True, 'peephole_f': True, 'peephole_o': True}
  bare = lv.Toggles(input_gate=False, forget_gate=False, output_gate=False)
  rows = [bare, bare._replace(**feeds), bare._replace(coupled=True)]
  case = settings.stack_cases([settings.random_case(1, False)] * 3 + cases[3:])
  run = settings.run_traced(rows + toggles[3:], case)
  np.testing.assert_array_equal(run.hiddens[1], run.hiddens[0])
  np.testing.assert_array_equal(run.hiddens[2], run.hiddens[0])


def test_gates_of_traced_toggles_are_those_of_each():
  case = jax.tree.map(jnp.float32, settings.random_case(2, gates=False))
  carry, x = lv.Carry(*case.carry[:2]), case.inputs[:, 0]

  @jax.jit
  def show(on):
    toggles = lv.Toggles(peephole_f=on, output_gate=on)
    return lstm.gates(case.params, toggles, carry, x).values

  on, off = show(True), show(False)
  np.testing.assert_array_equal(off['o'], 1)
  assert np.all(on['o'] < 1)
  logit = np.log(on['f'] / (1 - on['f'])) - np.log(off['f'] / (1 - off['f']))
  expected = case.params.peephole[1] * carry.c
  np.testing.assert_allclose(logit, expected, atol=1e-4)


@pytest.mark.parametrize('static', [True, False])
def test_gates_in_the_carry_are_ignored_without_gate_recurrence(static):
  toggles = lv.Toggles()
  if not static:
    toggles = jax.tree.map(jnp.asarray, toggles)
  case = settings.random_case(2, gates=True)
  c, h, gates = case.carry
  zero = np.zeros_like(gates)
  x = case.inputs[:, 0]
  _, expected = lv.step(case.params, toggles, (c, h, zero), x)
  _, hidden = lv.step(case.params, toggles, (c, h, gates), x)
  np.testing.assert_array_equal(hidden, expected)


@pytest.mark.parametrize(
  ('wrong', 'names'),
  [
    ({'input_gate': False, 'peephole_i': True}, ['peephole_i', 'input_gate']),
    ({'forget_gate': False, 'peephole_f': True}, ['peephole_f', 'forget_gate']),
    ({'output_gate': False, 'peephole_o': True}, ['peephole_o', 'output_gate']),
    ({'coupled': True, 'input_gate': False}, ['coupled', 'input_gate']),
    ({'coupled': True, 'forget_gate': False}, ['coupled', 'forget_gate']),
    ({'coupled': True, 'peephole_f': True}, ['peephole_f', 'coupled']),
    ({'coupling_shift': 1.0}, ['coupling_shift', 'coupled']),
  ],
)
def test_contradicting_static_toggles_are_refused_by_name(wrong, names):
  toggles = lv.Toggles(**wrong)
  case = settings.random_case(0, gates=False)
  calls = (
    lambda: lv.init_params(jax.random.key(0), 2, 3, toggles=toggles),
    lambda: lv.step(case.params, toggles, case.carry[:2], case.inputs[:, 0]),
    lambda: lv.unroll(case.params, toggles, jnp.asarray(case.inputs)),
    lambda: lstm.count_params(toggles, 2, 3),
  )
  for call in calls:
    with pytest.raises(ValueError) as caught:
      call()
    assert all(f'{name}=' in str(caught.value) for name in names)


@pytest.mark.parametrize(
  ('toggle', 'value', 'rule'),
  [
    ('forget_gate', 0.95, 'forget_gate=0.95: not True or False; nearest: True'),
    ('forget_gate', -3, 'forget_gate=-3: not True or False; nearest: True'),
    ('peephole_i', 2.5, 'peephole_i=2.5: not True or False; nearest: True'),
    ('coupled', 'yes', "coupled='yes': not True or False; nearest: False"),
    ('input_gate', 1.0, 'input_gate=1.0: not True or False; nearest: True'),
    ('input_gate', 1, 'input_gate=1: not True or False; nearest: True'),
    ('peephole_o', 0, 'peephole_o=0: not True or False; nearest: False'),
    ('output_gate', None, 'output_gate=None: not True or False; nearest: True'),
    ('output_gate', np.float32(1), 'output_gate: an array of float32'),
    ('output_gate', jnp.ones(()), 'output_gate: an array of float32'),
    ('gate_recurrence', np.ones(2, bool), 'gate_recurrence: an array [2]'),
    ('coupling_shift', True, 'coupling_shift=True: not a number; nearest: 0.0'),
    ('coupling_shift', np.inf, 'coupling_shift=inf: must be finite'),
    ('coupling_shift', None, 'coupling_shift=None: not a number'),
    ('coupling_shift', np.bool_(True), 'coupling_shift: an array of bool'),
  ],
)
def test_what_is_no_toggle_is_refused_by_name(toggle, value, rule):
  toggles = lv.Toggles()._replace(**{toggle: value})
  case = settings.random_case(0, gates=False)
  calls: Any = (
    lambda: lv.init_params(jax.random.key(0), 2, 3, toggles=toggles),
    lambda: lv.step(case.params, toggles, case.carry[:2], case.inputs[:, 0]),
    lambda: lstm.gates(case.params, toggles, case.carry, case.inputs[:, 0]),
    lambda: lv.unroll(case.params, toggles, jnp.asarray(case.inputs)),
    lambda: lv.LSTMCell(2, 3, toggles=toggles, rngs=nnx.Rngs(0)),
    lambda: lstm.count_params(toggles, 2, 3),
  )
  for call in calls:
    with pytest.raises(ValueError) as caught:
      call()
    assert str(caught.value).startswith(rule)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('wrap', [np.bool_, np.asarray, jnp.asarray])
def test_booleans_of_numpy_and_jax_are_traced_toggles(wrap):
  case = settings.random_case(0, gates=False)
  toggles = lv.Toggles(peephole_f=wrap(True), output_gate=wrap(False))
  _, found = lv.unroll(case.params, toggles, case.inputs)
  static = lv.Toggles(peephole_f=True, output_gate=False)
  _, expected = lv.unroll(case.params, static, case.inputs)
  np.testing.assert_allclose(found, expected, atol=1e-6)
  text = str(jax.make_jaxpr(lambda p: gates.fold(p, toggles))(case.params))
  assert 'select_n' in text


def test_a_variant_may_be_given_by_its_name():
  case = jax.tree.map(np.float32, settings.random_case(0, gates=False))
  toggles = lv.VARIANTS['peephole'].toggles
  pair, x = case.carry[:2], case.inputs[:, 0]
  for call in (
    lambda t: lv.unroll(case.params, t, case.inputs),
    lambda t: lv.step(case.params, t, pair, x),
    lambda t: lstm.gates(case.params, t, pair, x),
    lambda t: lv.init_params(jax.random.key(0), 2, 3, toggles=t),
    lambda t: lstm.count_params(t, 2, 3),
  ):
    named, given = call('peephole'), call(toggles)
    jax.tree.map(np.testing.assert_array_equal, named, given)
  with pytest.raises(ValueError, match="variant 'pephole' is not one of van"):
    lv.unroll(case.params, 'pephole', case.inputs)
  with pytest.raises(ValueError, match=r'toggles=3: must be Toggles; nearest'):
    lv.unroll(case.params, 3, case.inputs)  # pyrefly: ignore[bad-argument-type]


def test_shapes_that_do_not_fit_are_refused():
  case = settings.random_case(0, gates=False)
  params = jax.tree.map(jnp.asarray, case.params)
  inputs = jnp.asarray(case.inputs)
  c, h, gates = map(jnp.asarray, case.carry)
  vanilla = lv.Toggles()
  for wrong in (inputs[:, 0], inputs[..., :1], inputs[None]):
    with pytest.raises(AssertionError):
      lv.unroll(params, vanilla, wrong)
  for carry in ((c[:1], h), (c, h[:, :2]), (c, h, gates[:, :3])):
    with pytest.raises(AssertionError):
      lv.unroll(params, vanilla, inputs, carry)
    with pytest.raises(AssertionError):
      lv.step(params, vanilla, carry, inputs[:, 0])
  for name in lv.Params._fields:
    cut = params._replace(**{name: getattr(params, name)[..., :-1]})
    with pytest.raises(AssertionError):
      lv.unroll(cut, vanilla, inputs)
  with pytest.raises(AssertionError):
    lv.step(params, vanilla, (c, h), inputs[:, 0, :1])


def test_jit_specialises_by_static_argnames_and_traces_otherwise():
  case = settings.random_case(0, gates=False)
  settled = (lv.Toggles(), lv.VARIANTS['peephole'].toggles)
  seen = []

  def run(params, toggles, inputs):
    seen.append(toggles)
    return lv.unroll(params, toggles, inputs)

  special = jax.jit(run, static_argnames='toggles')
  for toggles in settled:
    special(case.params, toggles=toggles, inputs=case.inputs)
  assert seen == list(settled)
  seen.clear()
  shared = jax.jit(lambda *operands: run(*operands))
  for toggles in settled:
    shared(case.params, toggles, case.inputs)
  assert len(seen) == 1
  assert all(isinstance(leaf, jax.Array) for leaf in seen[0])

  # Of the choices by toggles, a specialised program has none.
  closed = jax.make_jaxpr(gates.fold, static_argnums=1)
  assert 'select_n' not in str(closed(case.params, settled[1]))
  assert 'select_n' in str(jax.make_jaxpr(gates.fold)(case.params, settled[1]))


@pytest.mark.parametrize('name', ['vanilla', 'fgr', 'janet'])
def test_bfloat16_stays_bfloat16_and_close_to_float32(name):
  toggles = lv.VARIANTS[name].toggles
  case = settings.random_case(6, gates=False)
  wide = jax.tree.map(jnp.asarray, (case.params, case.inputs))
  narrow = jax.tree.map(lambda x: x.astype(jnp.bfloat16), wide)
  carry, hiddens = UNROLL(narrow[0], toggles, narrow[1])
  assert hiddens.dtype == jnp.bfloat16
  assert all(leaf.dtype == jnp.bfloat16 for leaf in carry)
  _, expected = UNROLL(wide[0], toggles, wide[1])
  np.testing.assert_allclose(hiddens.astype(jnp.float32), expected, atol=0.05)


def test_traced_toggles_keep_bfloat16():
  toggles = jax.tree.map(jnp.asarray, lv.VARIANTS['janet'].toggles)
  case = settings.random_case(6, gates=False)
  params, inputs = jax.tree.map(
    lambda x: jnp.asarray(x, jnp.bfloat16), (case.params, case.inputs)
  )
  carry, hiddens = lv.unroll(params, toggles, inputs)
  assert {leaf.dtype for leaf in (*carry, hiddens)} == {jnp.dtype('bfloat16')}


@pytest.mark.parametrize('gates', [None, jnp.ones(6)])
def test_a_carry_can_be_copied_and_pickled_and_names_its_leaves(gates):
  carry = lv.Carry(jnp.ones(2), jnp.zeros(2), gates)
  for twin in (copy.deepcopy(carry), pickle.loads(pickle.dumps(carry))):
    assert isinstance(twin, lv.Carry)
    np.testing.assert_array_equal(twin.c, carry.c)
    assert (twin.gates is None) == (gates is None)
  paths = [path for path, _ in jax.tree_util.tree_flatten_with_path(carry)[0]]
  names = [jax.tree_util.keystr(path, simple=True) for path in paths]
  assert names == ['c', 'h', 'gates'][: len(carry)]
