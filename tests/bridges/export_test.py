"""ONNX files: onnxruntime computes what the NumPy loop and our models do."""

from typing import Any

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_variants as lv
from lstm_variants import cells, models
from lstm_variants.bridges import onnx as onnx_lib
from tests import reference_lstm
from tests.cells import settings

onnx = pytest.importorskip('onnx')
runtime = pytest.importorskip('onnxruntime')

RANDOM, GROUPS = 200, 10
LENGTH = 1000
EXPRESSIBLE = [
  name for name, v in lv.VARIANTS.items() if not v.toggles.gate_recurrence
]


def session(model: Any) -> Any:
  """Return a session of a model, or of a file."""
  onnx.checker.check_model(model, full_check=True)
  options = runtime.SessionOptions()
  options.intra_op_num_threads = 1
  if not isinstance(model, str):
    model = model.SerializeToString()
  return runtime.InferenceSession(
    model, options, providers=['CPUExecutionProvider']
  )


def run(model: Any, **feeds: np.ndarray) -> dict[str, np.ndarray]:
  """Return the outputs of a model by name."""
  opened = session(model)
  names = [output.name for output in opened.get_outputs()]
  return dict(zip(names, opened.run(names, feeds), strict=True))


def draw(rng: np.random.Generator, *shape: int, spread=0.5) -> np.ndarray:
  return rng.normal(0, spread, shape).astype(np.float32)


def draw_params(rng, features: int, size: int, spread=0.5) -> lv.Params:
  shapes: Any = (
    (features, 4 * size),
    (size, 4 * size),
    (4 * size,),
    (3, size),
    (3 * size, 3 * size),
  )
  leaves: Any = [draw(rng, *shape, spread=spread) for shape in shapes]
  return lv.Params(*leaves)


def expressible(rng: np.random.Generator) -> lv.Toggles:
  return settings.random_toggles(rng)._replace(gate_recurrence=False)


def one_direction(params, toggles, inputs, c, h, backward=False):
  """Run the NumPy loop in float64 over one sequence, `[time, F]`."""
  leaves = (None if leaf is None else np.float64(leaf) for leaf in params)
  weights = reference_lstm.take_apart(*leaves, on=toggles._asdict())
  steps = inputs[::-1] if backward else inputs
  gates = np.zeros(3 * len(h))
  if not len(steps):
    return np.zeros((0, len(h))), c, h
  on = toggles._asdict()
  with np.errstate(over='ignore'):
    done = reference_lstm.sequence(weights, on, steps, c, h, gates)
  return done.hiddens[:: -1 if backward else 1], done.c, done.h


def expected(
  stacks, toggles, readout, inputs, initial, lengths, residual=False
):
  """Return the outputs `[batch, time, …]`, and c and h as they are stacked."""
  outputs, last = [], np.zeros(np.shape(initial))
  for b, length in enumerate(lengths):
    x, rest = np.float64(inputs[b, :length]), np.zeros(0)
    for n, layer in enumerate(zip(*stacks, strict=True)):
      below, hiddens, fills = (x, rest), [], []
      for d, params in enumerate(layer):
        row = n * len(layer) + d
        c, h = initial[:, row, b]
        # What is left out at the end comes first, seen from there.
        fills.append(h)
        y, c, h = one_direction(params, toggles, x, c, h, backward=d == 1)
        last[:, row, b] = c, h
        hiddens.append(y)
      fills[0] = last[1, n * len(layer), b]
      x, rest = np.concatenate(hiddens, axis=1), np.concatenate(fills)
      if residual and n:
        x, rest = x + below[0], rest + below[1]
    x = np.concatenate((x, np.tile(rest, (inputs.shape[1] - length, 1))))
    if readout is not None:
      x = x @ readout['kernel'] + readout['bias']
    outputs.append(x)
  return np.stack(outputs), last[0], last[1]


def assert_close(found: np.ndarray, wanted: np.ndarray) -> None:
  scale = max(1.0, float(np.max(np.abs(wanted), initial=0)))
  np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * scale)


def check_random_model(rng: np.random.Generator) -> None:
  toggles = expressible(rng)
  features, size, depth, batch, time = rng.integers(1, 6, 5)
  directions = rng.integers(1, 3)
  widths = [features] + [directions * size] * (depth - 1)
  stacks = [
    [draw_params(rng, width, size) for width in widths]
    for _ in range(directions)
  ]
  params: dict[str, Any] = {'layers': stacks[0]}
  readout, lengths, residual = None, None, bool(rng.integers(2))
  if rng.integers(2):
    kernel = draw(rng, directions * size, 3)
    readout = params['readout'] = {'kernel': kernel, 'bias': draw(rng, 3)}
  carry = rng.choice(['zero', 'given', 'learned'])
  initial = draw(rng, 2, depth * directions, batch, size) * (carry != 'zero')
  feeds = {'inputs': draw(rng, batch, time, features, spread=1.0)}
  back: dict[str, Any] = {'layers': stacks[-1]}
  if directions == 2:
    params['backward'] = back
  if carry == 'given':
    feeds |= dict(zip(('initial_c', 'initial_h'), initial, strict=True))
  if carry == 'learned':
    initial = np.repeat(initial[:, :, :1], batch, axis=2)
    rows = [
      dict(zip('ch', initial[:, row, 0], strict=True))
      for row in range(initial.shape[1])
    ]
    params['carries'], back['carries'] = rows[::directions], rows[1::2]
  if rng.integers(2):
    lengths = rng.integers(0, time + 1, batch).astype(np.int32)
    feeds['lengths'] = lengths
  model = onnx_lib.export_onnx(
    params,
    toggles,
    None,
    residual=residual,
    carry=carry == 'given',
    lengths=lengths is not None,
  )
  found = run(model, **feeds)
  steps = [time] * batch if lengths is None else lengths
  wanted = expected(
    stacks, toggles, readout, feeds['inputs'], initial, steps, residual
  )
  names = ('hiddens' if readout is None else 'outputs', 'last_c', 'last_h')
  assert set(found) == set(names)
  for name, value in zip(names, wanted, strict=True):
    assert_close(found[name], value)


@pytest.mark.parametrize('group', range(GROUPS))
def test_random_models_equal_the_numpy_loop(group):
  for seed in range(group, RANDOM, GROUPS):
    check_random_model(np.random.default_rng(seed))


def check_long(toggles: lv.Toggles, seed: int) -> None:
  rng = np.random.default_rng(seed)
  params, inputs = draw_params(rng, 2, 6, 0.3), draw(rng, 1, LENGTH, 2)
  model = onnx_lib.export_onnx(params, toggles, None)
  found = run(model, inputs=inputs)
  zero = np.zeros((2, 1, 1, 6))
  wanted = expected([[params]], toggles, None, inputs, zero, [LENGTH])
  for value, name in zip(wanted, ('hiddens', 'last_c', 'last_h'), strict=True):
    assert_close(found[name], value)


@pytest.mark.parametrize('name', EXPRESSIBLE)
def test_variants_equal_the_numpy_loop_over_a_thousand_steps(name):
  check_long(lv.VARIANTS[name].toggles, 1)


def test_random_toggles_equal_the_numpy_loop_over_a_thousand_steps():
  rng = np.random.default_rng(0)
  for seed in range(20):
    # Random weights of a linear recurrence have no bound; noaf is above.
    check_long(expressible(rng)._replace(output_activation=True), seed)


def test_a_gate_that_is_off_is_exactly_one():
  toggles = lv.Toggles(forget_gate=False, output_gate=False)
  zeros = jax.tree.map(
    np.zeros_like, draw_params(np.random.default_rng(0), 2, 3)
  )
  model = onnx_lib.export_onnx(zeros, toggles, None, carry=True)
  begin = np.array([[[1.0, -0.3, 2e-7]]], np.float32)
  feeds = {'inputs': np.ones((1, LENGTH, 2), np.float32), 'initial_h': begin}
  found = run(model, **feeds, initial_c=begin)
  np.testing.assert_array_equal(found['last_c'], begin)


def test_directions_equal_two_unrolls():
  rng = np.random.default_rng(3)
  toggles = lv.VARIANTS['coupled_peephole'].toggles
  forward, backward = (draw_params(rng, 2, 4) for _ in range(2))
  inputs = draw(rng, 3, 6, 2)
  model = onnx_lib.export_onnx(forward, toggles, None, backward=backward)
  found = run(model, inputs=inputs)['hiddens']
  unroll = jax.jit(lv.unroll, static_argnums=1)
  _, one = unroll(forward, toggles, inputs)
  _, two = unroll(backward, toggles, inputs[:, ::-1])
  assert_close(found, np.concatenate((one, two[:, ::-1]), axis=-1))


def stack_of(
  cell: str, toggles: Any = None, **others
) -> tuple[models.Architecture, Any, Any]:
  """Return a model of a cell, its random parameters, and inputs."""
  rng = np.random.default_rng(4)
  architecture = models.Architecture(cell, 2, 2, 4, 3, **others)
  shapes = jax.eval_shape(
    lambda key: models.init_model(key, architecture, toggles),
    jax.random.key(0),
  )
  params = jax.tree.map(lambda leaf: draw(rng, *leaf.shape), shapes)
  return architecture, params, draw(rng, 3, 7, 2)


def check_against_apply_model(lengths: Any, cell: str, **others: int) -> None:
  architecture, params, inputs = stack_of(cell, **others)
  feeds, mask = {'inputs': inputs}, None
  if lengths:
    feeds['lengths'] = np.array(lengths, np.int32)
    mask = np.arange(7) < feeds['lengths'][:, None]
  model = onnx_lib.export_onnx(
    params,
    None,
    None,
    cell=cell,
    residual=architecture.residual,
    lengths=lengths is not None,
  )
  found = run(model, **feeds)
  toggles = lv.Toggles() if 'lstm' in cell else None
  carries, outputs = jax.jit(models.apply_model, static_argnums=(1, 2))(
    params, architecture, toggles, inputs, mask=mask
  )
  assert_close(found['outputs'], np.asarray(outputs))
  if not architecture.bidirectional:
    carries = [(carry,) for carry in carries]
  rows = [carry for pair in carries for carry in pair]
  assert_close(found['last_h'], np.stack([carry.h for carry in rows]))


@pytest.mark.parametrize(
  'cell', [name for name, cell in cells.CELLS.items() if cell.operator]
)
@pytest.mark.parametrize('lengths', [None, (7, 3, 0)])
def test_models_of_every_cell_equal_apply_model(cell, lengths):
  check_against_apply_model(lengths, cell)


def diagonal_as_full(params: Any) -> lv.Params:
  """Return a diagonal LSTM as one with matrices, for the NumPy loop."""
  blocks = [np.diag(row) for row in params.recurrent_kernel]
  return lv.Params(
    params.kernel,
    np.concatenate(blocks, axis=1),  # pyrefly: ignore[bad-argument-type]
    params.bias,
    params.peephole,
    None,
  )


@pytest.mark.parametrize('seed', range(8))
def test_diagonal_lstms_of_random_toggles_equal_the_numpy_loop(seed):
  rng = np.random.default_rng(seed)
  toggles = expressible(rng)
  _, params, _ = stack_of('diagonal_lstm', toggles)
  layers = params['layers']
  initial, inputs = draw(rng, 2, 2, 3, 4), draw(rng, 3, 7, 2)
  model = onnx_lib.export_onnx(
    {'layers': layers}, toggles, None, cell='diagonal_lstm', carry=True
  )
  found = run(model, inputs=inputs, initial_c=initial[0], initial_h=initial[1])
  stacks = [[diagonal_as_full(layer) for layer in layers]]
  wanted = expected(stacks, toggles, None, inputs, initial, [7] * 3)
  for name, value in zip(('hiddens', 'last_c', 'last_h'), wanted, strict=True):
    assert_close(found[name], value)


@pytest.mark.parametrize('lengths', [None, (7, 3, 0)])
def test_all_that_is_around_the_layers_equals_apply_model(lengths):
  check_against_apply_model(
    lengths,
    'lstm',
    residual=True,
    learned_carry=True,
    bidirectional=True,
    embedding_features=5,
    direct_connections=True,
  )


def test_direct_connections_without_an_embedding_equal_apply_model():
  check_against_apply_model(None, 'gru', direct_connections=True)


def test_a_sequence_model_knows_itself():
  model = lv.SequenceModel(
    *(2, 4, 3),
    cell='gru',
    num_layers=2,
    recurrent_init='uniform',
    residual=True,
    rngs=nnx.Rngs(0),
  )
  inputs = np.ones((1, 5, 2), np.float32)
  cases: Any = (
    (model, {}),
    (model.params, {'cell': 'gru', 'residual': True}),
    (model.params, {'cell': 'gru'}),
  )
  itself, told, without = (
    run(onnx_lib.export_onnx(given, None, None, **options), inputs=inputs)
    for given, options in cases
  )
  np.testing.assert_array_equal(itself['outputs'], told['outputs'])
  assert np.max(np.abs(itself['outputs'] - without['outputs'])) > 1e-3


def test_the_gru_that_resets_before_is_told_from_the_other():
  _, params, inputs = stack_of('gru_reset_before')
  layer = params['layers'][0]
  assert layer.recurrent_bias is None
  after = layer._replace(recurrent_bias=layer.bias[:4])
  one, two = (
    run(onnx_lib.export_onnx(p, None, None, cell=cell), inputs=inputs)[
      'hiddens'
    ]
    for p, cell in ((layer, 'gru_reset_before'), (after, 'gru'))
  )
  assert np.max(np.abs(one - two)) > 1e-3


def test_one_file_takes_any_batch_and_time_and_goes_on_from_a_carry(tmp_path):
  rng = np.random.default_rng(5)
  params = {'layers': (draw_params(rng, 2, 3), draw_params(rng, 3, 3))}
  toggles = lv.VARIANTS['peephole'].toggles
  path = tmp_path / 'model.onnx'
  path.write_text('what was there')
  onnx_lib.export_onnx(params, toggles, path, carry=True)
  assert [file.name for file in tmp_path.iterdir()] == ['model.onnx']
  inputs, zero = draw(rng, 4, 9, 2), np.zeros((2, 4, 3), np.float32)
  model = str(path)
  whole = run(model, inputs=inputs, initial_c=zero, initial_h=zero)
  first = run(model, inputs=inputs[:, :5], initial_c=zero, initial_h=zero)
  rest = run(
    model,
    inputs=inputs[:, 5:],
    initial_c=first['last_c'],
    initial_h=first['last_h'],
  )
  assert_close(rest['hiddens'], whole['hiddens'][:, 5:])
  assert_close(rest['last_c'], whole['last_c'])
  one = run(
    model, inputs=inputs[:1], initial_c=zero[:, :1], initial_h=zero[:, :1]
  )
  assert_close(one['hiddens'], whole['hiddens'][:1])


def test_parameters_of_16_bits_are_exact():
  params = draw_params(np.random.default_rng(6), 2, 3)
  params = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), params)
  wide = jax.tree.map(lambda leaf: leaf.astype(np.float32), params)
  inputs = np.ones((1, 4, 2), np.float32)
  one, two = (
    run(onnx_lib.export_onnx(p, None, None), inputs=inputs)['hiddens']
    for p in (params, wide)
  )
  np.testing.assert_array_equal(one, two)
