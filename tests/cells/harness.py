"""Any registered cell against its reference: one program for all the claims.

A case is a cell with settings. `run` compiles it once, in double precision,
into everything that the tests compare with the NumPy loop of
`reference_cells`: with a mask and its gradient, as a population, in two parts
from the zero carry, without a step, one step and its gates.
"""

import functools
import types
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import lstm_variants as lv
from tests.cells import reference_cells

FEATURES, HIDDEN, TIME, BATCH = 2, 4, 5, 3
# A step left out in the middle, steps at the end, all of them.
MASK = np.array(
  [
    [True, False, True, True, True],
    [True, True, True, False, False],
    [False] * TIME,
  ]
)
SPLIT = 2
COMPLEX_STEP = 1e-40


class Case(NamedTuple):
  """A cell by name, with settings, or with toggles."""

  name: str
  settings: Any

  def __str__(self) -> str:
    if self.settings is None:
      return self.name
    for variant, known in lv.VARIANTS.items():
      if known.toggles == self.settings:
        return f'{self.name}-{variant}'
    values = ','.join(map(str, self.settings))
    return f'{self.name}-{values}'

  @property
  def cell(self) -> lv.Cell:
    """The registered cell."""
    return lv.CELLS[self.name]

  @property
  def reference(self) -> reference_cells.Reference:
    """What the cell is compared with."""
    assert self.name in reference_cells.REFERENCES, (
      f'{self.name} has no reference: write its equations, from its paper, in '
      'tests/cells/reference_cells.py'
    )
    return reference_cells.REFERENCES[self.name]


class Operands(NamedTuple):
  """Params, inputs `[batch, time, F]` and a carry, float64."""

  params: Any
  inputs: Any
  carry: Any


class Run(NamedTuple):
  """What a program made of a case, in NumPy.

  Attributes:
    masked: `(last carry, hidden states)` under `MASK`, NaN at what it leaves
      out.
    gradients: of `weigh` of them by params, inputs and carry, by each way to
      differentiate that the cell has.
    population: `(last, hiddens)` of two runs side by side, without a mask.
    parts: hidden states `[batch, time, H]` and last carry of two halves from no
      carry, of which the first is time major.
    empty: `(last, hiddens)` of no step.
    step: `(carry, hidden)` after the first step.
    gates: of that step, with an axis more.
  """

  masked: Any
  gradients: dict[str, Any]
  population: Any
  parts: Any
  empty: Any
  step: Any
  gates: Any


# Settings beside the default ones, by what is changed; each setting is.
CHANGES: dict[str, list[dict[str, Any]]] = {
  'lstm_1997': [
    {'block_size': 2},
    {'block_size': 4, 'cell_bias': False},
    {'block_size': 2, 'gate_bias': False},
    {'block_size': 2, 'truncated_gradient': True},
    {'block_size': 2, 'recurrent': False, 'output_activation': False},
    {'block_size': 2, 'output_gate': False},
  ],
  'lstmp': [{'memory_ratio': 1}, {'memory_ratio': 2}],
  'depth_gated': [{'depth': 1}, {'depth': 3}],
  'slstm': [
    {'heads': 2},
    {'exponential_forget': True},
    {'heads': 2, 'exponential_forget': True},
  ],
  'mlstm': [
    {'heads': 2},
    {'exponential_forget': True},
    {'heads': 2, 'exponential_forget': True},
  ],
  'mingru': [{'positive_candidate': True}, {'parallel': False}],
  'minlstm': [{'positive_candidate': True}, {'parallel': False}],
  'lru': [{'parallel': True, 'r_min': 0.4, 'r_max': 0.9, 'max_phase': 1.0}],
  'rg_lru': [{'parallel': True, 'heads': 2}],
  's6': [
    {'convolution': True, 'state_size': 2},
    {
      'convolution': True,
      'gate': True,
      'parallel': True,
      'delta_rank': 2,
      'state_size': 3,
    },
  ],
  'delta_rule': [
    {'heads': 2, 'householder_steps': 3},
    {'negative_eigenvalues': True},
    {'decay': True, 'householder_steps': 2, 'negative_eigenvalues': True},
  ],
  'cornn': [{'time_step': 0.5, 'stiffness': 1.5, 'damping': 0.3}],
  'highway': [{'depth': 1}],
  'lem': [{'time_step': 0.3}],
  'indrnn': [{'recurrent_limit': 0.5}, {'recurrent_limit': 0.0}],
  'clockwork': [{'groups': 1}, {'groups': 2}],
  'echo_state': [{'leak': 0.3, 'input_scale': 0.5, 'spectral_radius': 1.4}],
}
# Of the variants, those of which the diagonal LSTM is tried alone.
DIAGONAL = ('vanilla', 'peephole', 'janet', 'nog', 'fgr')


def cases() -> list[Case]:
  """Return every registered cell with its settings, or with its variants."""
  listed = []
  for name, cell in lv.CELLS.items():
    settings = [cell.settings]
    settings += [cell.settings._replace(**c) for c in CHANGES.get(name, [])]
    if cell.toggled:
      settings = [
        variant.toggles
        for key, variant in lv.VARIANTS.items()
        if not variant.alias_of and (name == 'lstm' or key in DIAGONAL)
      ]
    listed += [Case(name, chosen) for chosen in settings]
  return listed


def default_case(name: str) -> Case:
  """Return a cell with its default settings, the vanilla LSTM's toggles."""
  cell = lv.CELLS[name]
  return Case(name, lv.Toggles() if cell.toggled else cell.settings)


def by_name(tree: Any) -> types.SimpleNamespace:
  """Return the fields of a NamedTuple, or of a carry, by name."""
  if tree is None:
    return types.SimpleNamespace()
  if hasattr(tree, '_asdict'):
    return types.SimpleNamespace(**tree._asdict())
  leaves = jax.tree_util.tree_leaves_with_path(tree)
  return types.SimpleNamespace(
    **{jax.tree_util.keystr(path, simple=True): leaf for path, leaf in leaves}
  )


@functools.cache
def _shapes(case: Case) -> Any:
  """Return the shapes of parameters and carry."""
  cell, settings = case.cell, case.settings
  return jax.eval_shape(
    lambda key: (
      cell.init_params(key, FEATURES, HIDDEN, settings=settings),
      cell.init_carry(settings, (BATCH,), HIDDEN, jnp.dtype('float32')),
    ),
    jax.random.key(0),
  )


def draw(case: Case, seed: int = 0) -> Operands:
  """Draw operands in which nothing is zero: N(0, 0.6²), inputs N(0, 1)."""
  rng = np.random.default_rng(seed)
  params, carry = jax.tree.map(
    lambda leaf: rng.normal(0, 0.6, leaf.shape), _shapes(case)
  )
  reached = case.reference.reach(by_name(carry))
  carry = jax.tree.unflatten(jax.tree.structure(carry), reached.values())
  weights = case.reference.weights(by_name(params))
  params = type(params)(**weights)
  return Operands(params, rng.normal(size=(BATCH, TIME, FEATURES)), carry)


def weigh(case: Case, last: Any, hiddens: Any) -> Any:
  """Return a number in which every entry has its own weight.

  Args:
    case: whose counters are left out.
    last: by name, the state of the paper after the last step.
    hiddens: the hidden states.
  """
  leaves = [hiddens]
  leaves += [last[k] for k in sorted(last) if k not in case.cell.counters]
  return sum(
    (np.cos(np.arange(leaf.size) + n) * leaf.reshape(-1)).sum()
    for n, leaf in enumerate(leaves)
  )


def _program(case: Case) -> Any:
  """Return the function that is compiled."""
  cell, settings, seen = case.cell, case.settings, case.reference.seen

  def unroll(operands, **options):
    params, inputs, carry = operands
    return cell.unroll(params, settings, inputs, carry, **options)

  def loss(operands, gradient):
    last, hiddens = unroll(operands, mask=MASK, gradient=gradient)
    return weigh(case, seen(by_name(last)), hiddens), (last, hiddens)

  def everything(lanes, masked):
    first = jax.tree.map(lambda leaf: leaf[0], lanes)
    params, inputs, carry = first
    early = jnp.swapaxes(inputs[:, :SPLIT], 0, 1)
    middle, start = unroll(Operands(params, early, None), time_major=True)
    last, end = unroll(Operands(params, inputs[:, SPLIT:], middle))
    outputs, gradients = None, {}
    for kind in ('fused', 'autodiff') if cell.fused else ('fused',):
      (_, outputs), gradients[kind] = jax.value_and_grad(loss, has_aux=True)(
        masked, kind
      )
    gates = None
    if cell.gates is not None:
      wide = jax.tree.map(lambda leaf: leaf[:, None], (carry, inputs[:, 0]))
      gates = cell.gates(params, settings, *wide)
    return Run(
      masked=outputs,
      gradients=gradients,
      population=jax.vmap(unroll)(lanes),
      parts=(jnp.concatenate((jnp.swapaxes(start, 0, 1), end), 1), last),
      empty=unroll(first._replace(inputs=inputs[:, :0])),
      step=cell.step(params, settings, carry, inputs[:, 0]),
      gates=gates,
    )

  return everything


@functools.cache
def run(case: Case) -> Run:
  """Run a case, compiled once."""
  lanes = jax.tree.map(
    lambda *leaves: np.stack(leaves), draw(case, 0), draw(case, 1)
  )
  masked = draw(case)
  masked = masked._replace(
    inputs=np.where(MASK[..., None], masked.inputs, np.nan)
  )
  with jax.enable_x64(True):
    return jax.tree.map(np.asarray, jax.jit(_program(case))(lanes, masked))


class Expected(NamedTuple):
  """What the reference makes, `[batch, …]`.

  Attributes:
    last: the state of the paper after the last step, by name.
    hiddens: `[batch, time, H]`.
    gates: of the last step; None under a mask.
  """

  last: dict[str, Any]
  hiddens: Any
  gates: Any


def loop(case: Case, operands: Operands, mask: Any = None) -> Expected:
  """Run the reference over a batch, a sequence and a step at a time."""
  params, inputs, carry = operands
  step = case.reference.of(by_name(params), by_name(case.settings))
  rows = []
  for n, xs in enumerate(inputs):
    before = by_name(jax.tree.map(lambda leaf, row=n: leaf[row], carry))
    state, gates, hiddens = case.reference.seen(before), None, []
    for t, x in enumerate(xs):
      if mask is None or mask[n, t]:
        state, gates = step(types.SimpleNamespace(**state), x)
      hiddens.append(state['h'])
    gates = gates if mask is None else None
    rows.append(Expected(state, np.array(hiddens), gates))
  return jax.tree.map(lambda *leaves: np.stack(leaves), *rows)


def complex_step(case: Case, operands: Operands, mask: Any = None) -> Operands:
  """Return the gradient of `weigh` of the reference, an entry at a time."""
  leaves, tree = jax.tree.flatten(operands)
  slopes = [np.zeros(leaf.shape) for leaf in leaves]
  for number, leaf in enumerate(leaves):
    for place in np.ndindex(leaf.shape):
      moved = list(leaves)
      moved[number] = leaf.astype(complex)
      moved[number][place] += COMPLEX_STEP * 1j
      last, hiddens, _ = loop(case, jax.tree.unflatten(tree, moved), mask)
      value = weigh(case, last, hiddens)
      slopes[number][place] = np.imag(value) / COMPLEX_STEP
  return jax.tree.unflatten(tree, slopes)


def assert_close(one: Any, two: Any, rtol: float = 0, atol: float = 1e-12):
  """Compare trees leaf by leaf."""
  leaves = jax.tree.leaves(one), jax.tree.leaves(two)
  for a, b in zip(*leaves, strict=True):
    np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)


def assert_same(case: Case, outputs: Any, expected: Expected) -> None:
  """Compare `(last carry, hidden states)` with the reference."""
  last, hiddens = outputs
  np.testing.assert_allclose(hiddens, expected.hiddens, rtol=0, atol=1e-12)
  seen = case.reference.seen(by_name(last))
  assert sorted(seen) == sorted(expected.last)
  assert_close(seen, expected.last)


def without_counters(case: Case, gradient: Operands) -> Operands:
  """Return a gradient without the counters, by which nothing is moved."""
  carry = vars(by_name(gradient.carry))
  kept = {k: v for k, v in carry.items() if k not in case.cell.counters}
  return gradient._replace(carry=kept)


def init(name: str, *sizes: int, settings: Any = None, **options: Any) -> Any:
  """Return initial parameters of a cell, drawn by one compiled program."""
  cell = lv.CELLS[name]
  draw_all = jax.jit(
    lambda key: cell.init_params(key, *sizes, settings=settings, **options)
  )
  return jax.tree.map(np.asarray, draw_all(jax.random.key(0)))
