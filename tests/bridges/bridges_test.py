"""Weights from and to torch and flax, and the code of docs/bridges.md."""

import importlib.util
import pathlib
import re
from typing import Any

from flax import linen, nnx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

import lstm_variants as lv
from lstm_variants import bridges
from lstm_variants.runs import files
from tests import reference_lstm

ROOT = pathlib.Path(__file__).parents[2]
PAGE = (ROOT / 'docs' / 'bridges.md').read_text()
BLOCKS = re.findall(r'```python\n(.*?)```', PAGE, re.DOTALL)
FEATURES, SIZE, TIME = 3, 4, 6
KEY = jax.random.key(0)
# What the LSTMs of torch and flax can express, and where each toggle counts.
EXPRESSIBLE = {
  'vanilla': lv.Toggles(),
  'coupled': lv.Toggles(coupled=True),
  'shifted': lv.Toggles(coupled=True, coupling_shift=-0.7),
  'no_input_gate': lv.Toggles(input_gate=False),
  'no_forget_gate': lv.Toggles(forget_gate=False),
  'coupled_no_output_gate': lv.Toggles(coupled=True, output_gate=False),
}


def draw_params(seed: int, features: int = FEATURES) -> lv.Params:
  rng = np.random.default_rng(seed)
  shapes: Any = (
    (features, 4 * SIZE),
    (SIZE, 4 * SIZE),
    (4 * SIZE,),
    (3, SIZE),
    (3 * SIZE, 3 * SIZE),
  )
  leaves: Any = [rng.normal(0, 0.5, shape).astype('f') for shape in shapes]
  return lv.Params(*leaves)


def draw_inputs(features: int = FEATURES) -> np.ndarray:
  return np.random.default_rng(9).normal(size=(TIME, features)).astype('f')


def ours(params: lv.Params, toggles: lv.Toggles, inputs: Any) -> np.ndarray:
  """Run the NumPy loop of our cell over `[time, F]`."""
  leaves = (None if leaf is None else np.float64(leaf) for leaf in params)
  weights = reference_lstm.take_apart(*leaves, on=toggles._asdict())
  zero = np.zeros(SIZE)
  return reference_lstm.sequence(
    weights, toggles._asdict(), inputs, zero, zero, np.zeros(3 * SIZE)
  ).hiddens


def torch_layer(state: Any, name: str, inputs: Any) -> np.ndarray:
  """Run the equations of torch's page over `[time, F]`; `name` as 'l0'."""
  w, r, b, b2 = (
    np.float64(state[f'{kind}_{name}'])
    for kind in ('weight_ih', 'weight_hh', 'bias_ih', 'bias_hh')
  )
  h = c = np.zeros(SIZE)
  hiddens = []
  for x in inputs:
    z_i, z_f, z_g, z_o = np.split(w @ x + b + r @ h + b2, 4)
    i, f, o = map(reference_lstm.logistic, (z_i, z_f, z_o))
    c = f * c + i * np.tanh(z_g)
    h = o * np.tanh(c)
    hiddens.append(h)
  return np.stack(hiddens)


@pytest.mark.parametrize('name', EXPRESSIBLE)
def test_what_torch_is_given_does_what_ours_does(name):
  toggles = EXPRESSIBLE[name]
  layers = (draw_params(0), draw_params(1, 2 * SIZE))
  back = (draw_params(2), draw_params(3, 2 * SIZE))
  state = bridges.to_torch(layers, toggles, backward=back)
  assert len(state) == 16
  mine = theirs = draw_inputs()
  for n in range(2):
    mine = np.concatenate(
      (
        ours(layers[n], toggles, mine),
        ours(back[n], toggles, mine[::-1])[::-1],
      ),
      axis=-1,
    )
    theirs = np.concatenate(
      (
        torch_layer(state, f'l{n}', theirs),
        torch_layer(state, f'l{n}_reverse', theirs[::-1])[::-1],
      ),
      axis=-1,
    )
  np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-6)


@pytest.mark.parametrize('bidirectional', [False, True])
@pytest.mark.parametrize('bias', [False, True])
def test_torchs_own_layers_come_and_go(bias, bidirectional):
  torch = pytest.importorskip('torch')
  theirs = torch.nn.LSTM(
    FEATURES, SIZE, 2, bias=bias, bidirectional=bidirectional
  )
  stack = bridges.from_torch(theirs.state_dict())
  assert (stack.backward is not None) == bidirectional
  x = draw_inputs()
  expected = theirs(torch.from_numpy(x))[0].detach().numpy()
  for layers in zip(*(s for s in stack if s is not None), strict=True):
    parts = [ours(layers[0], lv.Toggles(), x)]
    if bidirectional:
      parts.append(ours(layers[1], lv.Toggles(), x[::-1])[::-1])
    x = np.concatenate(parts, axis=-1)
  np.testing.assert_allclose(x, expected, rtol=0, atol=1e-6)
  state = bridges.to_torch(stack.layers, backward=stack.backward)
  again = torch.nn.LSTM(FEATURES, SIZE, 2, bidirectional=bidirectional)
  again.load_state_dict({k: torch.from_numpy(v) for k, v in state.items()})
  found = again(torch.from_numpy(draw_inputs()))[0].detach().numpy()
  np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_a_file_comes_back_with_the_rest_of_its_model_left_alone(tmp_path):
  layers = (draw_params(0), draw_params(1, SIZE))
  state = bridges.to_torch(layers, prefix='lstm.')
  state['readout.weight'] = np.ones((2, SIZE), np.float32)
  path = tmp_path / 'model.safetensors'
  bridges.save(path, state)
  assert set(safetensors.numpy.load_file(path)) == set(state)
  stack = bridges.from_torch(path, prefix='lstm.')
  assert stack.backward is None and len(stack.layers) == 2
  for one, two in zip(stack.layers, layers, strict=True):
    for leaf, other in zip(one[:3], two[:3], strict=True):
      np.testing.assert_array_equal(leaf, other)
    assert one.peephole is None and one.gate_kernel is None


def test_64_bits_stay_64_bits():
  wide: Any = jax.tree.map(np.float64, draw_params(0))
  state = bridges.to_torch(wide)
  assert {leaf.dtype for leaf in state.values()} == {np.dtype('float64')}
  (layer,) = bridges.from_torch(state).layers
  np.testing.assert_array_equal(layer.kernel, wide.kernel)


ARRAYS_OF_TORCH = bridges.to_torch(draw_params(0))
BRAIN = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), draw_params(0))


def test_torchs_two_biases_are_summed():
  rng = np.random.default_rng(5)
  state = bridges.to_torch((draw_params(0), draw_params(1, SIZE)))
  state |= {
    name: rng.normal(size=leaf.shape).astype('f')
    for name, leaf in state.items()
    if name.startswith('bias')
  }
  mine = theirs = draw_inputs()
  for n, params in enumerate(bridges.from_torch(state).layers):
    mine = ours(params, lv.Toggles(), mine)
    theirs = torch_layer(state, f'l{n}', theirs)
  np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-6)


def test_bfloat16_becomes_float32(tmp_path):
  path = tmp_path / 'cell.safetensors'
  bridges.save(path, BRAIN._asdict())
  found = safetensors.numpy.load_file(path)
  for name, leaf in BRAIN._asdict().items():
    assert found[name].dtype == np.float32
    np.testing.assert_array_equal(found[name], leaf.astype(np.float32))
  state = bridges.to_torch(BRAIN)
  assert {leaf.dtype for leaf in state.values()} == {np.dtype('float32')}


def test_a_file_of_bfloat16_is_read(tmp_path):
  path = tmp_path / 'cell.safetensors'
  half = {k: v.astype(jnp.bfloat16) for k, v in ARRAYS_OF_TORCH.items()}
  path.write_bytes(safetensors.numpy.save(half))
  (layer,) = bridges.from_torch(path).layers
  assert layer.kernel.dtype == np.float32
  np.testing.assert_array_equal(
    layer.kernel, half['weight_ih_l0'].T.astype(np.float32)
  )


class Tensor:
  """A tensor of torch as NumPy sees it."""

  def __init__(self, dtype: str, problem: str):
    self.dtype, self.problem = dtype, problem

  def __array__(self, *args: Any, **kwargs: Any) -> Any:
    raise TypeError(self.problem)


@pytest.mark.parametrize(
  'dtype, advice',
  [
    ('torch.bfloat16', r'tensor\.float\(\)$'),
    ('torch.float32', r'tensor\.detach\(\)\.cpu\(\)$'),
  ],
)
def test_a_tensor_that_numpy_cannot_have_is_refused(dtype, advice):
  state = {**ARRAYS_OF_TORCH, 'bias_ih_l0': Tensor(dtype, 'two\nlines')}
  with pytest.raises(bridges.WeightsError, match=advice) as info:
    bridges.from_torch(state)
  assert str(info.value).startswith(f'bias_ih_l0: of {dtype}, cannot')


def test_torchs_own_bfloat16_is_refused():
  torch = pytest.importorskip('torch')
  state = torch.nn.LSTM(FEATURES, SIZE).bfloat16().state_dict()
  with pytest.raises(bridges.WeightsError, match=r'tensor\.float\(\)$'):
    bridges.from_torch(state)


def test_every_type_of_number_is_read_as_safetensors_does(tmp_path):
  path = tmp_path / 'all.safetensors'
  kinds = 'f8 f4 f2 i8 i4 i2 i1 u8 u4 u2 u1 ?'.split()
  arrays = {kind: np.array([[0, 1, 3]], kind) for kind in kinds}
  bridges.save(path, arrays | {'none': np.zeros((0, 2), 'f')})
  found = bridges.load(path)
  assert found['none'].shape == (0, 2)
  for kind, leaf in arrays.items():
    assert found[kind].dtype == leaf.dtype
    np.testing.assert_array_equal(found[kind], leaf)


@pytest.mark.parametrize(
  'layers, backward, words',
  [
    ((), None, 'layers: none; nearest: one'),
    ((), (), 'layers: none; nearest: one'),
    ((0,), (0, 0), r'backward: 2 layer\(s\) beside 1, must be as many'),
    ((0,), (), r'backward: 0 layer\(s\) beside 1, must be as many'),
    ((0, 0), None, 'layer 1: in_features=3, .* nearest: 4'),
    ((0, SIZE), (0, SIZE), 'layer 1: in_features=4, .* nearest: 8'),
    ((SIZE,), (0,), 'layer 0: in_features=3, .* nearest: 4'),
  ],
)
def test_layers_that_torch_cannot_stack_are_refused(layers, backward, words):
  made = [
    widths and tuple(draw_params(0, width or FEATURES) for width in widths)
    for widths in (layers, backward)
  ]
  with pytest.raises(bridges.ExportError, match=words) as info:
    bridges.to_torch(made[0], backward=made[1])
  assert '\n' not in str(info.value)


def test_layers_of_other_widths_are_refused_by_torch():
  narrow = lv.init_params(KEY, SIZE, 2)
  with pytest.raises(bridges.ExportError, match='layer 1: hidden_features=2'):
    bridges.to_torch((draw_params(0), narrow))


CELLS: dict[str, Any] = {
  'nnx.LSTMCell': nnx.LSTMCell,
  'nnx.OptimizedLSTMCell': nnx.OptimizedLSTMCell,
  'linen.LSTMCell': linen.LSTMCell,
  'linen.OptimizedLSTMCell': linen.OptimizedLSTMCell,
}


def run_flax(name: str, arrays: Any, inputs: np.ndarray) -> np.ndarray:
  """Run a cell of flax with these parameters over `[time, F]`."""
  if name.startswith('linen'):
    rnn = linen.RNN(CELLS[name](SIZE))
    return jax.jit(rnn.apply)({'params': {'cell': arrays}}, inputs[None])[0]
  cell = CELLS[name](FEATURES, SIZE, rngs=nnx.Rngs(0))
  nnx.update(cell, jax.tree.map(jnp.asarray, arrays))
  graph, state = nnx.split(cell)

  def run(state, inputs):
    rnn: Any = nnx.RNN(nnx.merge(graph, state))
    return rnn(inputs[None])[0]

  return jax.jit(run)(state, inputs)


@pytest.mark.parametrize('name', CELLS)
def test_flax_cells_come_and_go(name, tmp_path):
  toggles, params = EXPRESSIBLE['shifted'], draw_params(0)
  layout = name.replace('linen.Optimized', 'linen.')
  arrays = bridges.to_flax(params, toggles, layout)
  found = run_flax(name, arrays, draw_inputs())
  expected = ours(params, toggles, draw_inputs())
  np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
  back = bridges.from_flax(arrays)
  mine = ours(back, lv.Toggles(), draw_inputs())
  np.testing.assert_allclose(mine, expected, rtol=0, atol=1e-6)
  path = tmp_path / 'cell.safetensors'
  bridges.save(path, arrays)
  assert 'hi.kernel' in bridges.load(path) or 'dense_h.kernel' in bridges.load(
    path
  )
  for one, two in zip(bridges.from_flax(path), back, strict=True):
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize('name', ['nnx.LSTMCell', 'nnx.OptimizedLSTMCell'])
def test_an_nnx_cell_and_its_state_are_taken(name):
  cell = CELLS[name](FEATURES, SIZE, rngs=nnx.Rngs(1))
  one = bridges.from_flax(cell)
  two = bridges.from_flax(nnx.state(cell, nnx.Param))
  again = bridges.to_flax(one, layout=name)
  expected = nnx.to_pure_dict(nnx.state(cell, nnx.Param))
  assert jax.tree.structure(again) == jax.tree.structure(expected)
  for tree in (two, one):
    arrays = jax.tree.leaves(bridges.to_flax(tree, layout=name))
    for leaf, other in zip(arrays, jax.tree.leaves(expected), strict=True):
      np.testing.assert_array_equal(leaf, other)


@pytest.mark.parametrize(
  'toggles, words',
  [
    (lv.VARIANTS['fgr'].toggles, 'gate_recurrence=True'),
    (lv.Toggles(peephole_f=True), 'peephole_f=True: .* has none such; nearest'),
    (lv.Toggles(peephole_o=True), 'nearest: peephole_o=False'),
    (lv.Toggles(input_activation=False), 'nearest: input_activation=True'),
    (lv.Toggles(output_activation=False), 'nearest: output_activation=True'),
  ],
)
def test_what_they_cannot_express_is_refused(toggles, words):
  for give in (bridges.to_torch, bridges.to_flax):
    with pytest.raises(bridges.ExportError, match=words) as info:
      give(draw_params(0), toggles)
    assert '\n' not in str(info.value)


def without(state: Any, name: str, **more: Any) -> Any:
  return {k: v for k, v in state.items() if k != name} | more


STATE = bridges.to_torch((draw_params(0), draw_params(1, SIZE)))
ARRAYS = bridges.to_flax(draw_params(0))
ONES = np.ones((2, 2), np.float32)


@pytest.mark.parametrize(
  'take, weights, words',
  [
    (bridges.from_torch, {}, 'weight_ih_l0: missing'),
    (bridges.from_torch, without(STATE, 'bias_hh_l1'), 'bias_hh_l1: missing'),
    (
      bridges.from_torch,
      without(STATE, 'bias_hh_l1', bias_hhh_l1=ONES),
      'bias_hh_l1: missing; nearest: bias_hhh_l1',
    ),
    (
      bridges.from_torch,
      without(STATE, '', weight_xx_l0=ONES),
      'weight_xx_l0: unknown; nearest: weight_',
    ),
    (
      bridges.from_torch,
      without(STATE, '', weight_ih_l99999999999=ONES),
      'weight_ih_l2: missing',
    ),
    (
      bridges.from_torch,
      {f'rnn.{k}': v for k, v in STATE.items()},
      'weight_ih_l0: missing; nearest: rnn.weight_ih_l0',
    ),
    (
      bridges.from_torch,
      without(STATE, '', weight_hr_l0=ONES),
      'weight_hr_l0: a projection, .* nearest: .* proj_size=0',
    ),
    (
      bridges.from_torch,
      without(STATE, '', weight_ih_l1=ONES),
      r'weight_ih_l1: has shape \[2, 2\], must have \[16, 4\]',
    ),
    (
      bridges.from_torch,
      without(STATE, '', bias_ih_l0=np.zeros(16, int)),
      'bias_ih_l0: has type int64, must be real',
    ),
    (bridges.from_torch, ROOT / 'missing', 'missing: No such file'),
    (bridges.from_torch, ROOT / 'README.md', 'not a safetensors file'),
    (bridges.from_flax, {}, 'ii.kernel: missing'),
    (bridges.from_flax, 3, 'weights: a int, must be arrays by name'),
    (
      bridges.from_flax,
      {'params': ARRAYS},
      'ii.kernel: missing; nearest: params',
    ),
    (bridges.from_flax, without(ARRAYS, 'ho'), 'ho.kernel: missing'),
    (
      bridges.from_flax,
      without(ARRAYS, '', hx={'kernel': ONES}),
      'hx.kernel: unknown; nearest: h',
    ),
    (
      bridges.from_flax,
      without(ARRAYS, '', ii={'kernel': ONES}),
      r'if_.kernel: has shape \[3, 4\]|ii.kernel: has shape \[2, 2\]',
    ),
    (
      bridges.from_flax,
      nnx.LSTMCell(2, 3, activation_fn=nnx.relu, rngs=nnx.Rngs(0)),
      'activation_fn=relu: our LSTM has another; nearest: tanh',
    ),
  ],
)
def test_weights_of_something_else_are_refused_in_a_line(take, weights, words):
  with pytest.raises(bridges.WeightsError, match=words) as info:
    take(weights)
  assert '\n' not in str(info.value)


def test_an_unknown_layout_and_a_file_that_cannot_be_written_are_told(tmp_path):
  with pytest.raises(bridges.ExportError, match='nearest: nnx.LSTMCell'):
    bridges.to_flax(draw_params(0), layout='nnx.LSTM')
  with pytest.raises(files.StorageError, match='cannot be written'):
    bridges.save(tmp_path / 'missing' / 'x.safetensors', STATE)


def test_the_code_of_the_page_runs(tmp_path, monkeypatch):
  """In order, in one scope; what needs torch or onnx only where it is."""
  monkeypatch.chdir(tmp_path)
  assert len(BLOCKS) >= 8
  scope: dict[str, Any] = {}
  pytest.importorskip('onnxruntime')
  for block in BLOCKS:
    if 'torch' not in re.findall(r'import (\w+)', block) or (
      importlib.util.find_spec('torch')
    ):
      exec(compile(block, 'docs/bridges.md', 'exec'), scope)
  assert scope['tags'].shape == (4, 7, 3)
  names = {file.name for file in tmp_path.iterdir()}
  assert {'cell.onnx', 'model.onnx', 'both.onnx', 'tagger.onnx'} < names
