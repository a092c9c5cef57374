"""Gates over time: what is traced is what the model does."""

import functools
from typing import Any

import jax
import numpy as np
import pytest

from lstm_variants import cells, models
from lstm_variants.cells import lstm, remedies
from lstm_variants.evidence.gates import measure
from lstm_variants.models.architecture import Architecture

B, T, F, H = 2, 5, 3, 4
STACK = Architecture(
  'lstm', 3, F, H, 2, 'uniform', residual=True, learned_carry=True
)
# Most of the time of these tests is compiling.
FAST = {'xla_backend_optimization_level': 0}


def close(one, two):
  np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)


@functools.cache
def make(architecture: Architecture, toggles=None) -> tuple[Any, Any]:
  init = jax.jit(
    lambda key: models.init_model(key, architecture, toggles),
    compiler_options=FAST,
  )
  params = jax.tree.map(np.asarray, init(jax.random.key(0)))
  inputs = np.random.default_rng(0).normal(size=(B, T, F)).astype('float32')
  return params, inputs


def sigmoid(z):
  return 1 / (1 + np.exp(-z))


def test_a_stack_is_traced_as_numpy_computes_it():
  params, x = make(STACK, lstm.Toggles())
  rng = np.random.default_rng(1)
  params: Any = {
    **params,
    'carries': tuple(
      {name: rng.normal(size=H).astype('float32') for name in ('c', 'h')}
      for _ in range(3)
    ),
  }
  below = x
  shown: Any = None
  for layer in range(3):
    own = params['layers'][layer]
    start = params['carries'][layer]
    c, h = (np.broadcast_to(start[name], (B, H)) for name in ('c', 'h'))
    shown = measure.trace(params, STACK, lstm.Toggles(), x, layer=layer)
    hiddens = []
    for t in range(T):
      z = below[:, t] @ own.kernel + h @ own.recurrent_kernel + own.bias
      z_i, z_f, z_g, z_o = np.split(z, 4, axis=-1)
      c = sigmoid(z_f) * c + sigmoid(z_i) * np.tanh(z_g)
      h = sigmoid(z_o) * np.tanh(c)
      for name, value in (('i', z_i), ('f', z_f), ('o', z_o)):
        close(shown.gates[name][:, t], sigmoid(value))
      close(shown.candidate[:, t], np.tanh(z_g))  # pyrefly: ignore[unsupported-operation]
      close(shown.keep[:, t], sigmoid(z_f))  # pyrefly: ignore[unsupported-operation]
      close(shown.c[:, t], c)  # pyrefly: ignore[unsupported-operation]
      close(shown.h[:, t], h)
      hiddens.append(h + below[:, t] if layer else h)
    below = np.stack(hiddens, axis=1)
  assert list(shown.gates) == ['i', 'f', 'o'] and shown.off == ()
  readout = params['readout']
  close(shown.outputs, below @ readout['kernel'] + readout['bias'])
  last = measure.trace(params, STACK, lstm.Toggles(), x)
  np.testing.assert_array_equal(last.c, shown.c)


def test_a_latch_is_seen_to_open_keep_and_release():
  # One unit: the marker opens i, the question opens o, f stays open.
  kernel: Any = np.zeros((3, 4), np.float32)
  kernel[1, 0] = kernel[2, 3] = 40
  kernel[0, 2] = 1
  rest: Any = (
    np.zeros((1, 4), np.float32),
    np.array([-20, 40, 0, -20], np.float32),
    np.zeros((3, 1), np.float32),
    np.zeros((3, 3), np.float32),
  )
  own = lstm.Params(kernel, *rest)
  readout = {'kernel': np.ones((1, 1)), 'bias': np.zeros(1)}
  values = np.array([0.9, 0.3, -0.7, 0.5, 0.1])
  marker, question = np.eye(5)[1], np.eye(5)[4]
  x: Any = np.stack((values, marker, question), axis=-1)[None].astype('float32')
  toggles = lstm.Toggles(input_activation=False, output_activation=False)
  shown: Any = measure.trace(
    {'layers': (own,), 'readout': readout},
    Architecture('lstm', 1, 3, 1, 1),
    toggles,
    x,
  )
  np.testing.assert_allclose(shown.gates['i'][0, :, 0], marker, atol=1e-6)
  np.testing.assert_allclose(shown.gates['o'][0, :, 0], question, atol=1e-6)
  np.testing.assert_allclose(
    shown.c[0, :, 0], [0, 0.3, 0.3, 0.3, 0.3], atol=1e-6
  )
  np.testing.assert_allclose(
    shown.outputs[0, :, 0], [0, 0, 0, 0, 0.3], atol=1e-6
  )


@pytest.mark.parametrize('name', ['gru', 'slstm', 'minlstm', 'simple_rnn'])
def test_other_cells_are_traced_as_they_run(name):
  architecture = Architecture(name, 1, F, H, 2, 'uniform')
  params, x = make(architecture)
  cell = cells.CELLS[name]
  shown: Any = measure.trace(params, architecture, None, x)
  _, hiddens = cell.unroll(params['layers'][0], cell.settings, x)
  close(shown.h, hiddens)
  if name == 'simple_rnn':
    assert (shown.gates, shown.off) == ({}, ())
    assert shown.candidate is shown.keep is shown.c is None
    return
  assert (shown.c is None) == (name != 'slstm')
  state = shown.h if shown.c is None else shown.c
  before = np.concatenate((np.zeros((B, 1, H)), state[:, :-1]), axis=1)
  close(state, shown.keep * before + (1 - shown.keep) * shown.candidate)


def test_gates_that_are_off_are_marked_and_read_one():
  architecture = Architecture('lstm', 1, F, H, 2, 'uniform')
  toggles = lstm.Toggles(forget_gate=False, output_gate=False)
  params, x = make(architecture, toggles)
  arrays: Any = map(np.asarray, toggles)
  for given in (toggles, lstm.Toggles(*arrays)):
    shown: Any = measure.trace(params, architecture, given, x)
    assert shown.off == ('f', 'o')
    np.testing.assert_array_equal(shown.gates['f'], 1)
    np.testing.assert_array_equal(shown.keep, 1)
    assert np.all(shown.gates['i'] < 1)


def test_zoneout_at_test_time_keeps_more():
  architecture = Architecture('lstm', 1, F, H, 2, 'uniform')
  params, x = make(architecture, lstm.Toggles())
  noise = remedies.Noise(None, 0.5, 0.1, 0.3)
  shown: Any = measure.trace(
    params, architecture, lstm.Toggles(), x, noise=noise
  )
  close(shown.keep, 0.5 + 0.5 * shown.gates['f'])
  before = np.concatenate((np.zeros((B, 1, H)), shown.c[:, :-1]), axis=1)
  new = shown.gates['i'] * shown.candidate
  close(shown.c, shown.keep * before + 0.5 * new)
  _, outputs = models.apply_model(
    params, architecture, lstm.Toggles(), x, noise=noise
  )
  close(shown.outputs, outputs)


def test_one_step_of_one_sequence_is_traced():
  architecture = Architecture('lstm', 1, F, H, 2, 'uniform')
  params, x = make(architecture, lstm.Toggles())
  shown: Any = measure.trace(params, architecture, lstm.Toggles(), x[:1, :1])
  assert shown.c.shape == (1, 1, H)


def test_what_cannot_be_told_is_refused():
  params, x = make(STACK, lstm.Toggles())
  refused: Any = (
    ({}, {'layer': 3}, 'layer=3 of num_layers=3; nearest: 2'),
    ({}, {'layer': -4}, 'layer=-4 .* nearest: 0'),
    ({'layer_norm': True}, {}, 'layer_norm=True'),
    ({'bidirectional': True}, {}, 'bidirectional=True'),
    (
      {},
      {'noise': remedies.Noise(jax.random.key(0), 0.1, 0.1, 0.1)},
      'key must be None',
    ),
  )
  for changes, options, message in refused:
    architecture = STACK._replace(**changes)
    with pytest.raises(ValueError, match=message):
      measure.trace(params, architecture, lstm.Toggles(), x, **options)
