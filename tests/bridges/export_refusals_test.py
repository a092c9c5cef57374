"""What cannot be an ONNX file: refused in a line, with nothing written."""

import functools
import sys
from typing import Any

from flax import nnx
import jax
import numpy as np
import pytest

import lstm_variants as lv
from lstm_variants import bridges
from lstm_variants.bridges import graph, plain_gates
from lstm_variants.bridges import onnx as onnx_lib
from lstm_variants.cells import diagonal_lstm
from lstm_variants.runs import files
from tests.bridges import export_test

pytest.importorskip('onnx')

P = export_test.draw_params(np.random.default_rng(6), 2, 3)
WIDE = export_test.draw_params(np.random.default_rng(6), 2, 4)
READOUT = {'kernel': np.zeros((4, 1), np.float32), 'bias': np.zeros(1)}
OFF = lv.Toggles(input_gate=False)
POPULATION = jax.tree.map(lambda leaf: leaf[None], P)
DOUBLE = jax.tree.map(np.float64, P)
SEEN = lv.VARIANTS['peephole'].toggles
DIAGONAL = diagonal_lstm.Params(
  *(*P[:1], np.zeros((4, 3), np.float32), *P[2:4], np.zeros((3, 3, 3)))  # pyrefly: ignore[bad-argument-type]
)
WIDE_PEEPHOLE = np.zeros((3, 3))
CARRIES = ({'c': np.zeros(3, 'f'), 'h': np.zeros(3, 'f')},)


@functools.cache
def build(**choices: Any) -> lv.SequenceModel:
  return lv.SequenceModel(
    2, 3, 1, recurrent_init='uniform', rngs=nnx.Rngs(0), **choices
  )


@pytest.mark.parametrize(
  'params, toggles, options, words',
  [
    (P, lv.VARIANTS['fgr'].toggles, {}, 'gate_recurrence=True: the gates of'),
    (P, OFF._replace(coupled=True), {}, 'coupled=True needs input_gate=True'),
    (P, lv.Toggles(coupled=np.ones(2)), {}, 'coupled: of 2 runs'),  # pyrefly: ignore[bad-argument-type]
    (P, 3, {}, 'toggles=3: must be Toggles; nearest: lv.VARIANTS['),
    (P, 'peephol', {}, "variant 'peephol' is not one of vanilla, peephole"),
    (P, None, {'cell': 'mgu'}, "cell='mgu': ONNX has no operator for it; choi"),
    (P, lv.Toggles(), {'cell': 'gru'}, 'gru has none; nearest: None'),
    ({'layers': ()}, None, {}, 'layers: none'),
    ({}, None, {}, 'params: no layers'),
    ({'layers': P, 'gains': ()}, None, {}, 'layer_norm=True: no operator'),
    (
      {'layers': P, 'readuot': READOUT},
      None,
      {},
      "'readuot' is no part of a model; nearest: readout",
    ),
    (
      {'layers': P, 'backward': {'layers': P}},
      None,
      {'backward': P},
      'backward: params have one too',
    ),
    (
      {
        'layers': P,
        'carries': ({'c': np.zeros((1, 3), 'f'), 'h': np.zeros(3)},),
      },
      None,
      {},
      'carries h: has type float64',
    ),
    ((1,), None, {}, 'layer 0: params: a int, must be Params of an LSTM'),
    (POPULATION, None, {}, 'kernel: has shape [1, 2, 12], must have [2, 12]'),
    (POPULATION, None, {}, 'nearest: those of one run'),
    (DOUBLE, None, {}, 'kernel: has type float64, onnxruntime computes'),
    (P._replace(bias=np.ones(12, int)), None, {}, 'bias: has type int64'),  # pyrefly: ignore[bad-argument-type]
    ((P, P), None, {}, 'layer 1: in_features=2, must be what is below'),
    ((P, WIDE), None, {}, 'layer 1: hidden_features=4'),
    (P, None, {'backward': (P, P)}, 'backward: 2 layer(s) beside 1'),
    (P, None, {'backward': WIDE}, 'layer 0: hidden_features=4'),
    ({'layers': (P,), 'readout': READOUT}, None, {}, 'has type float64'),
    (
      P._replace(peephole=WIDE_PEEPHOLE),  # pyrefly: ignore[bad-argument-type]
      SEEN,
      {},
      'peephole: has type float64',
    ),
    (
      DIAGONAL._replace(peephole=WIDE_PEEPHOLE),  # pyrefly: ignore[bad-argument-type]
      SEEN,
      {'cell': 'diagonal_lstm'},
      'peephole: has type float64',
    ),
    (
      {'layers': P, 'backward': {'layers': P, 'carries': CARRIES}},
      None,
      {},
      'carries: of one direction, must be of both',
    ),
    (
      {'layers': P, 'carries': CARRIES},
      None,
      {'backward': P},
      'carries: of one direction, must be of both',
    ),
    (
      {'layers': P, 'backward': {'layers': P, 'readout': READOUT}},
      None,
      {},
      "backward: has a 'readout'",
    ),
    (
      {'layers': P, 'backward': {'layers': P, 'backward': {'layers': P}}},
      None,
      {},
      "backward: has a 'backward'",
    ),
    (
      {'layers': P, 'embedding': np.ones((7, 3), 'f')},
      None,
      {},
      'embedding: has shape [7, 3], must have [7, 2]',
    ),
    ({'layers': P, 'backward': (P,)}, None, {}, 'backward: a tuple, must be'),
    ({'layers': P, 'carries': ()}, None, {}, 'carries: of 0 layer(s)'),
    ({'layers': P, 'carries': ({},)}, None, {}, 'carries: without c'),
  ],
)
def test_what_onnx_cannot_express_is_refused_in_a_line(
  tmp_path, params, toggles, options, words
):
  with pytest.raises(onnx_lib.ExportError) as info:
    onnx_lib.export_onnx(params, toggles, tmp_path / 'model.onnx', **options)
  message = str(info.value)
  assert words in message and '\n' not in message
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
  'model, toggles, options, words',
  [
    ({'cell': 'gru'}, None, {'cell': 'irnn'}, "cell='irnn': the model is of"),
    ({'cell': 'gru'}, lv.Toggles(), {}, 'gru has none; nearest: None'),
    ({'cell': 'gru'}, None, {'residual': True}, 'residual=True: the model has'),
    ({'toggles': 'coupled'}, lv.Toggles(), {}, 'has its own; nearest: None'),
  ],
)
def test_a_model_is_not_exported_as_another(model, toggles, options, words):
  with pytest.raises(onnx_lib.ExportError) as info:
    onnx_lib.export_onnx(build(**model), toggles, None, **options)
  assert words in str(info.value) and '\n' not in str(info.value)


def test_a_readout_of_another_width_is_refused():
  readout = jax.tree.map(np.float32, READOUT)
  with pytest.raises(
    onnx_lib.ExportError, match=r'readout: kernel: .*\[3, 1\]'
  ):
    onnx_lib.export_onnx({'layers': (P,), 'readout': readout}, None, None)


def test_without_onnx_the_extra_is_named(monkeypatch):
  monkeypatch.setitem(sys.modules, 'onnx', None)
  with pytest.raises(onnx_lib.ExportError, match=r"'lstm-variants\[onnx\]'"):
    onnx_lib.export_onnx(P, None, None)


def test_weights_beyond_a_protocol_buffer_are_refused(monkeypatch):
  monkeypatch.setattr(graph, 'LARGEST', 100)
  with pytest.raises(onnx_lib.ExportError, match='an ONNX file holds 100;'):
    onnx_lib.export_onnx(P, None, None)


def test_a_file_that_cannot_be_written_is_told(tmp_path):
  with pytest.raises(files.StorageError, match='missing/model.onnx'):
    onnx_lib.export_onnx(P, None, tmp_path / 'missing' / 'model.onnx')


@pytest.mark.parametrize('path', ['', '.', '/', '\0x'])
def test_a_path_that_names_no_file_is_refused(path):
  for write in (
    lambda: onnx_lib.export_onnx(P, None, path),
    lambda: bridges.save(path, {}),
  ):
    with pytest.raises(lv.Error, match='names no file|is no path') as info:
      write()
    assert '\n' not in str(info.value)


@pytest.mark.parametrize('name', ['model', 'model.txt', 'model.safetensors'])
def test_an_onnx_file_has_no_other_name(name, tmp_path):
  nearest = "path=.*: an ONNX file ends in .onnx; nearest: .*model.onnx'"
  with pytest.raises(onnx_lib.ExportError, match=nearest):
    onnx_lib.export_onnx(P, None, tmp_path / name)
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('name', lv.Toggles._fields)
def test_a_toggle_is_in_the_file_or_refused(name):
  """One that the bridges do not know must not be left out in silence."""
  coupled = name == 'coupling_shift'
  before = lv.Toggles(coupled=coupled)
  value: Any = 0.5 if coupled else not getattr(before, name)
  after: Any = before._replace(**{name: value})
  try:
    changed = onnx_lib.export_onnx(P, after, None)
  except bridges.ExportError:
    return
  assert changed.graph != onnx_lib.export_onnx(P, before, None).graph


def test_a_model_may_be_told_what_it_is():
  toggles = lv.VARIANTS['coupled'].toggles
  onnx_lib.export_onnx(build(toggles='coupled'), toggles, None, cell='lstm')
  onnx_lib.export_onnx(build(cell='gru'), None, None, cell='gru')


def test_a_peephole_that_no_gate_sees_may_be_of_64_bits():
  params: Any = P._replace(peephole=WIDE_PEEPHOLE)  # pyrefly: ignore[bad-argument-type]
  assert onnx_lib.export_onnx(params, None, None)


@pytest.mark.parametrize('toggle', ['input_activation', 'coupled'])
def test_a_toggle_that_no_bridge_knows_is_refused(monkeypatch, toggle):
  known = [name for name in plain_gates._WRITTEN if name != toggle]
  monkeypatch.setattr(plain_gates, '_WRITTEN', known)
  assert plain_gates.check(lv.Toggles()) == lv.Toggles()
  default = getattr(lv.Toggles(), toggle)
  changed = lv.Toggles()._replace(**{toggle: not default})
  with pytest.raises(bridges.ExportError, match=f'{toggle}={not default}: '):
    plain_gates.check(changed)


def test_an_empty_name_is_no_variant():
  with pytest.raises(bridges.ExportError, match="toggles=''"):
    plain_gates.check('')
