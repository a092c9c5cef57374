"""Models as ONNX files, for onnxruntime and whatever else reads them.

What a file takes and returns, for any batch and time from 1 on:

    inputs                 [batch, time, F]
    initial_c, initial_h   [layers · directions, batch, H]     with `carry`
    lengths                [batch], int32                      with `lengths`

    outputs                [batch, time, out_features]         of a readout
    hiddens                [batch, time, directions · H]       without
    last_c, last_h         [layers · directions, batch, H]

Carries are stacked as in torch: by layer, and in each the forward direction
first; only an LSTM has c. What is above a layer sees its directions side by
side. From its length on, a sequence leaves the carry and repeats the hidden
state, as under the mask of `models.apply_model`. No batch, or no time, is left
undefined by onnxruntime; a length may be 0.
"""

import os
import pathlib
from typing import Any

import numpy as np

from lstm_variants.bridges import graph as graph_lib
from lstm_variants.bridges import operators, stacks
from lstm_variants.bridges import weights as weights_lib
from lstm_variants.bridges.weights import ExportError as ExportError
from lstm_variants.cells import lstm
from lstm_variants.runs import files

# Of a file's name, by which other programs know it.
SUFFIX = '.onnx'
# Of each state its name, for what is given and what is returned.
_Names = dict[str, str]


def export_onnx(
  params: Any,
  toggles: lstm.Toggles | str | None,
  path: str | os.PathLike[str] | None,
  *,
  cell: str = 'lstm',
  backward: Any = None,
  residual: bool = False,
  carry: bool = False,
  lengths: bool = False,
) -> Any:
  """Write a cell or a whole model as an ONNX file.

  Args:
    params: of one cell, as `lv.Params`; or of a model, as `models.init_model`
      makes it, `{'layers': (...), 'readout': {'kernel', 'bias'}, …}`, in which
      all but the layers may be missing; or a `lv.SequenceModel`, which knows
      its toggles, cell and residual itself; others are refused. Of 32 bits or
      fewer.
    toggles: of an LSTM, or the name of a variant, None is vanilla; of another
      cell None.
    path: of the file, which ends in .onnx; one that is there is replaced. None:
      nothing is written.
    cell: the name of one that has a `Cell.operator`.
    backward: of layers that run backwards beside them, unless `params` hold
      them: the parameters of one cell, or of each layer.
    residual: what a layer above the first gets is added to what it puts out.
    carry: the carry before the first step is an input; without it, what the
      model has learned, or zero.
    lengths: the sequences' lengths are an input; without it all are `time`.

  Returns:
    What is written, an `onnx.ModelProto`.

  Raises:
    ExportError: what ONNX cannot express, arrays that do not fit each other,
      weights beyond `graph.LARGEST`, no onnx, a path that does not end in
      .onnx.
    StorageError: the file cannot be written.

  Reference:
    https://onnx.ai/onnx/operators/onnx__LSTM.html
  """
  place = None if path is None else file_path(path)
  model = stacks.translate(params, toggles, cell, backward, residual)
  proto = _build(graph_lib.start(), model, carry, lengths)
  if place is not None:
    files.write(place, proto.SerializeToString())
  return proto


def file_path(path: str | os.PathLike[str]) -> pathlib.Path:
  """Return the path of an ONNX file.

  Raises:
    ExportError: its name is that of a file of another kind.
  """
  place = weights_lib.file_path(path)
  if place.suffix != SUFFIX:
    raise ExportError(
      f'path={str(place)!r}: an ONNX file ends in {SUFFIX}; nearest: '
      f'{str(place.with_suffix(SUFFIX))!r}'
    )
  return place


def check_zoneout(hyperparams: Any) -> None:
  """Refuse a run whose states are mixed with those before at test time.

  Raises:
    ExportError: naming the rate.
  """
  for rate in ('zoneout_c', 'zoneout_h'):
    if getattr(hyperparams, rate):
      raise ExportError(
        f'{rate}={getattr(hyperparams, rate):g}: at test time a state is mixed '
        f'with the one before, which other tools do not; nearest: {rate}=0'
      )


def _build(
  graph: graph_lib.Graph, model: stacks.Model, carry: bool, lengths: bool
) -> Any:
  """Return the model in ONNX."""
  size, rows = model.hidden_features, len(model.layers) * model.directions
  given: dict[str, Any] = {'inputs': ('batch', 'time', model.in_features)}
  initial = {}
  if carry:
    initial = {state: f'initial_{state}' for state in model.states}
    given |= {name: (rows, 'batch', size) for name in initial.values()}
  elif model.first:
    initial = _learned(graph, model)
  runs = None
  if lengths:
    given['lengths'] = ('batch',)
    runs = _runs(graph)

  x = graph_lib.add(graph, 'Transpose', ['inputs'], 'steps', perm=(1, 0, 2))
  if model.embedding is not None:
    matrix = graph_lib.constant(graph, 'embedding', model.embedding)
    x = graph_lib.add(graph, 'MatMul', [x, matrix], 'embedded')
  first, last = x, []
  for n in range(len(model.layers)):
    y, ends = _run(graph, model, n, x, initial, runs)
    if model.residual and n:
      y = graph_lib.add(graph, 'Add', [y, x], f'layer{n}_sum')
    x = y
    last.append(ends)
  name, width = _read_out(graph, model, first, x)
  returned: dict[str, Any] = {name: ('batch', 'time', width)}
  for state in model.states:
    parts = [ends[state] for ends in last]
    name = graph_lib.add(graph, 'Concat', parts, f'last_{state}', axis=0)
    returned[name] = (rows, 'batch', size)
  return graph_lib.finish(graph, given, returned)


def _learned(graph: graph_lib.Graph, model: stacks.Model) -> _Names:
  """Return the carries before the first step that the model has learned."""
  ones = graph_lib.integers(graph, 'one_of_batch', 1)
  batch = graph_lib.length(graph, 'inputs', 0, 'batch_length')
  shape = graph_lib.add(graph, 'Concat', [ones, batch, ones], 'batch', axis=0)
  return {
    state: graph_lib.add(
      graph,
      'Expand',
      [graph_lib.constant(graph, f'learned_{state}', rows), shape],
      f'first_{state}',
    )
    for state, rows in model.first.items()
  }


def _runs(graph: graph_lib.Graph) -> str:
  """Tell for each step whether a sequence still runs, `[time, 1, batch, 1]`."""
  add, integers = graph_lib.add, graph_lib.integers
  zero, one = (
    graph_lib.constant(graph, f'scalar_{n}', np.array(n, np.int64))
    for n in (0, 1)
  )
  time = graph_lib.length(graph, 'inputs', 1, 'time_length')
  add(graph, 'Squeeze', [time, integers(graph, 'time_only', 0)], 'time')
  add(graph, 'Range', [zero, 'time', one], 'range')
  axes = integers(graph, 'range_axes', 1, 2, 3)
  add(graph, 'Unsqueeze', ['range', axes], 'range_wide')
  add(graph, 'Cast', ['lengths'], 'ends', to=graph.onnx.TensorProto.INT64)
  add(
    graph, 'Unsqueeze', ['ends', integers(graph, 'ends_axes', 1)], 'ends_wide'
  )
  return add(graph, 'Less', ['range_wide', 'ends_wide'], 'runs')


def _run(
  graph: graph_lib.Graph,
  model: stacks.Model,
  n: int,
  x: str,
  initial: _Names,
  runs: str | None,
) -> tuple[str, _Names]:
  """Add layer n; return its hidden states, and its last carry.

  `[time, batch, F]` to `[time, batch, directions · H]`.
  """
  add, name, layers = graph_lib.add, f'layer{n}', model.layers[n]
  first = {
    state: _rows(
      graph,
      stacked,
      n * model.directions,
      model.directions,
      f'{name}_{stacked}',
    )
    for state, stacked in initial.items()
  }
  both = (layer[1:4] for layer in layers)
  weights = [
    graph_lib.constant(graph, f'{name}_{letter}', np.stack(leaves))
    for letter, *leaves in zip('WRB', *both, strict=True)
  ]
  inputs = [x, *weights, 'lengths' if runs else '']
  inputs += [first.get(state, '') for state in reversed(model.states)]
  peepholes = [p for p in (layer.peephole for layer in layers) if p is not None]
  if peepholes:
    inputs.append(graph_lib.constant(graph, f'{name}_P', np.stack(peepholes)))
  ends = {state: f'{name}_{state}' for state in model.states}
  y = add(
    graph,
    layers[0].operator,
    inputs,
    f'{name}_y',
    *(ends[state] for state in reversed(model.states)),
    **operators.attributes(layers),
  )
  if runs:
    ends = {
      state: _unless_empty(graph, end, first.get(state))
      for state, end in ends.items()
    }
    y = _repeat(graph, model, y, runs, ends['h'], first.get('h'))
  turned = add(graph, 'Transpose', [y], f'{name}_turned', perm=(0, 2, 1, 3))
  shape = graph_lib.integers(graph, f'{name}_shape', 0, 0, model.width)
  return add(graph, 'Reshape', [turned, shape], f'{name}_hiddens'), ends


def _rows(
  graph: graph_lib.Graph, stacked: str, start: int, count: int, name: str
) -> str:
  """Cut some rows out of an array."""
  ends = (
    graph_lib.integers(graph, f'{name}_{end}', value)
    for end, value in (('start', start), ('end', start + count), ('axis', 0))
  )
  return graph_lib.add(graph, 'Slice', [stacked, *ends], name)


def _unless_empty(graph: graph_lib.Graph, end: str, first: str | None) -> str:
  """Return the last state; of a sequence without a step the first.

  onnxruntime has zero there, which is right where the first state is zero.
  """
  if first is None:
    return end
  add = graph_lib.add
  zero = graph_lib.constant(graph, f'{end}_zero', np.zeros(1, np.int32))
  axis = graph_lib.integers(graph, f'{end}_axis', 1)
  some = add(graph, 'Greater', ['lengths', zero], f'{end}_some')
  column = add(graph, 'Unsqueeze', [some, axis], f'{end}_column')
  return add(graph, 'Where', [column, end, first], f'{end}_last')


def _repeat(
  graph: graph_lib.Graph,
  model: stacks.Model,
  y: str,
  runs: str,
  last: str,
  first: str | None,
) -> str:
  """Put hidden states where sequences have ended; the operator has zeros.

  Forward it is the last one; backward, where these steps come first, that
  before the first step.
  """
  add = graph_lib.add
  rest = _rows(graph, last, 0, 1, f'{y}_ahead')
  if model.directions == 2:
    if first is None:
      zeros = np.zeros((1, 1, 1), np.float32)
      zero = graph_lib.constant(graph, f'{y}_zero', zeros)
      shape = add(graph, 'Shape', [rest], f'{y}_rest_shape')
      back = add(graph, 'Expand', [zero, shape], f'{y}_back')
    else:
      back = _rows(graph, first, 1, 1, f'{y}_back')
    rest = add(graph, 'Concat', [rest, back], f'{y}_rest', axis=0)
  return add(graph, 'Where', [runs, y, rest], f'{y}_whole')


def _read_out(
  graph: graph_lib.Graph, model: stacks.Model, first: str, x: str
) -> tuple[str, int]:
  """Add the readout; return the name and the width of the outputs.

  Args:
    graph: to add to.
    model: what is built.
    first: what the first layer gets, `[time, batch, first features]`.
    x: what the last layer puts out, `[time, batch, width]`.
  """
  add = graph_lib.add
  hiddens = add(graph, 'Transpose', [x], 'hiddens', perm=(1, 0, 2))
  if model.readout is None:
    return hiddens, model.width
  kernel, bias = (
    graph_lib.constant(graph, f'readout_{name}', leaf)
    for name, leaf in zip(('kernel', 'bias'), model.readout, strict=True)
  )
  product = add(graph, 'MatMul', [hiddens, kernel], 'product')
  if model.direct is not None:
    seen = add(graph, 'Transpose', [first], 'seen', perm=(1, 0, 2))
    direct = graph_lib.constant(graph, 'readout_direct', model.direct)
    added = add(graph, 'MatMul', [seen, direct], 'direct_product')
    product = add(graph, 'Add', [product, added], 'products')
  outputs = add(graph, 'Add', [product, bias], 'outputs')
  return outputs, len(model.readout[1])
