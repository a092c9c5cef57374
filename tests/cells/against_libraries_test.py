"""The LSTM against other libraries' cells: flax and onnxruntime."""

from typing import Any

from flax import nnx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_variants as lv
from tests import reference_lstm

FEATURES, HIDDEN, TIME, BATCH = 3, 8, 50, 4


def draw(
  seed: int, time: int = TIME, toggles: lv.Toggles | str = 'vanilla'
) -> tuple[lv.Params, np.ndarray]:
  rng = np.random.default_rng(seed)
  params = lv.init_params(jax.random.key(0), FEATURES, HIDDEN, toggles=toggles)
  params = jax.tree.map(
    lambda leaf: rng.normal(0, 0.4, leaf.shape).astype(np.float32), params
  )
  shape = (BATCH, time, FEATURES)
  return params, rng.normal(size=shape).astype(np.float32)


def flax_cell(params: lv.Params) -> nnx.LSTMCell:
  cell = nnx.LSTMCell(FEATURES, HIDDEN, rngs=nnx.Rngs(0))
  kernels = np.split(np.asarray(params.kernel), 4, axis=1)
  recurrent = np.split(np.asarray(params.recurrent_kernel), 4, axis=1)
  biases = np.split(np.asarray(params.bias), 4)
  for n, gate in enumerate(('i', 'f', 'g', 'o')):
    dense_x = getattr(cell, {'f': 'if_'}.get(gate, f'i{gate}'))
    dense_h = getattr(cell, f'h{gate}')
    dense_x.kernel[...] = jnp.asarray(kernels[n])
    dense_h.kernel[...] = jnp.asarray(recurrent[n])
    dense_h.bias[...] = jnp.asarray(biases[n])
  return cell


def optimized_flax_cell(params: lv.Params) -> nnx.OptimizedLSTMCell:
  cell = nnx.OptimizedLSTMCell(FEATURES, HIDDEN, rngs=nnx.Rngs(0))
  cell.dense_i.kernel[...] = jnp.asarray(params.kernel)
  cell.dense_h.kernel[...] = jnp.asarray(params.recurrent_kernel)
  assert cell.dense_h.bias is not None
  cell.dense_h.bias[...] = jnp.asarray(params.bias)
  return cell


def vanilla_loss(params, inputs):
  _, hiddens = lv.unroll(params, lv.Toggles(), inputs)
  return jnp.sum(jnp.sin(hiddens + jnp.arange(HIDDEN))), hiddens


@pytest.mark.parametrize('build', [flax_cell, optimized_flax_cell])
def test_vanilla_equals_flax_in_values_and_gradients(build):
  params, inputs = draw(0, time=12)
  graph, state = nnx.split(build(params))

  def theirs(state, inputs):
    rnn: Any = nnx.RNN(nnx.merge(graph, state))
    hiddens = rnn(inputs)
    return jnp.sum(jnp.sin(hiddens + jnp.arange(HIDDEN))), hiddens

  (_, mine), (on_params, on_inputs) = jax.jit(
    jax.value_and_grad(vanilla_loss, argnums=(0, 1), has_aux=True)
  )(params, inputs)
  (_, flax), (on_state, on_flax_inputs) = jax.jit(
    jax.value_and_grad(theirs, argnums=(0, 1), has_aux=True)
  )(state, inputs)
  np.testing.assert_allclose(mine, flax, atol=1e-6)
  np.testing.assert_allclose(on_inputs, on_flax_inputs, atol=1e-5)
  cell = build(on_params)
  expected = jax.tree.leaves(nnx.state(cell))
  # flax's input layers have no bias; where both have one, ours is copied to h.
  for one, two in zip(expected, jax.tree.leaves(on_state), strict=True):
    np.testing.assert_allclose(one, two, atol=2e-5)


def onnx_feeds(params: lv.Params, toggles: lv.Toggles, inputs, c, h):
  """Return the inputs of ONNX's LSTM; a gate without weights has zeros."""
  weights = reference_lstm.take_apart(*params, on=toggles._asdict())

  def stack(blocks, gates):
    return np.concatenate([blocks[gate] for gate in gates], axis=-1)

  # ONNX calls g the cell gate c.
  bias = stack(weights.b, 'iofg')
  feeds = {
    'X': np.swapaxes(inputs, 0, 1),
    'W': stack(weights.w, 'iofg').T[None],
    'R': stack(weights.r, 'iofg').T[None],
    'B': np.concatenate((bias, np.zeros_like(bias)))[None],
    'initial_h': h[None],
    'initial_c': c[None],
    'P': stack(weights.p, 'iof')[None],
  }
  return {k: np.ascontiguousarray(v, np.float32) for k, v in feeds.items()}


def onnx_lstm(feeds, coupled: bool):
  """Return onnxruntime's Y `[batch, time, H]`, Y_h and Y_c `[batch, H]`."""
  onnx = pytest.importorskip('onnx')
  runtime = pytest.importorskip('onnxruntime')
  names = ['X', 'W', 'R', 'B', '', 'initial_h', 'initial_c', 'P']
  shapes = {
    'Y': (TIME, 1, BATCH, HIDDEN),
    'Y_h': (1, BATCH, HIDDEN),
    'Y_c': (1, BATCH, HIDDEN),
  }
  make, real = onnx.helper, onnx.TensorProto.FLOAT
  node = make.make_node(
    'LSTM', names, list(shapes), hidden_size=HIDDEN, input_forget=int(coupled)
  )
  graph = make.make_graph(
    [node],
    'lstm',
    [make.make_tensor_value_info(k, real, v.shape) for k, v in feeds.items()],
    [make.make_tensor_value_info(k, real, v) for k, v in shapes.items()],
  )
  model = make.make_model(
    graph, ir_version=8, opset_imports=[make.make_opsetid('', 14)]
  )
  onnx.checker.check_model(model)
  options = runtime.SessionOptions()
  options.intra_op_num_threads = 1
  session = runtime.InferenceSession(
    model.SerializeToString(), options, providers=['CPUExecutionProvider']
  )
  hiddens, last_h, last_c = session.run(list(shapes), feeds)
  return np.swapaxes(hiddens[:, 0], 0, 1), last_h[0], last_c[0]


@pytest.mark.parametrize(
  ('name', 'coupled'),
  [
    ('vanilla', False),
    ('peephole', False),
    ('coupled', True),
    ('coupled_peephole', True),
  ],
)
def test_variants_equal_onnxruntimes_lstm(name, coupled):
  toggles = lv.VARIANTS[name].toggles
  params, inputs = draw(1, toggles=toggles)
  rng = np.random.default_rng(2)
  c, h = rng.normal(size=(2, BATCH, HIDDEN)).astype(np.float32)
  expected = onnx_lstm(onnx_feeds(params, toggles, inputs, c, h), coupled)
  last, hiddens = lv.unroll(params, toggles, jnp.asarray(inputs), (c, h))
  for one, two in zip((hiddens, last.h, last.c), expected, strict=True):
    np.testing.assert_allclose(one, two, rtol=0, atol=1e-5)
