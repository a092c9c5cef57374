"""An ONNX graph that is being built, node by node, by name."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from lstm_variants.bridges.weights import ExportError

# The oldest that have all that is needed, so that old runtimes read them too.
OPSET, IR_VERSION = 14, 7
# Bytes of weights that a protocol buffer can hold.
LARGEST = 2**31 - 2**20


class Graph(NamedTuple):
  """The module onnx, which may be missing; nodes and constants so far."""

  onnx: Any
  nodes: list[Any]
  constants: list[Any]


def start() -> Graph:
  """Return an empty graph.

  Raises:
    ExportError: onnx is not installed.
  """
  try:
    import onnx  # an optional extra
  except ImportError as error:
    raise ExportError(
      "onnx is missing; it is an extra: pip install 'lstm-variants[onnx]'"
    ) from error
  return Graph(onnx, [], [])


def add(
  graph: Graph,
  operator: str,
  inputs: Sequence[str],
  output: str,
  *more: str,
  **attributes: Any,
) -> str:
  """Add a node; return its first output."""
  node = graph.onnx.helper.make_node(
    operator, list(inputs), [output, *more], **attributes
  )
  graph.nodes.append(node)
  return output


def constant(graph: Graph, name: str, value: np.ndarray) -> str:
  """Add a constant; return its name."""
  graph.constants.append(graph.onnx.numpy_helper.from_array(value, name))
  return name


def integers(graph: Graph, name: str, *values: int) -> str:
  """Add a constant of integers `[n]`; return its name."""
  return constant(graph, name, np.array(values, np.int64))


def length(graph: Graph, x: str, axis: int, name: str) -> str:
  """Return the length of an axis, `[1]`."""
  sizes = add(graph, 'Shape', [x], f'{name}_sizes')
  which = integers(graph, f'{name}_axis', axis)
  return add(graph, 'Gather', [sizes, which], name)


def finish(
  graph: Graph,
  inputs: dict[str, Sequence[int | str]],
  outputs: dict[str, Sequence[int | str]],
) -> Any:
  """Return the model; `lengths` is of integers, all else of numbers.

  Raises:
    ExportError: the weights are too large for one file.
  """
  weights = sum(len(constant.raw_data) for constant in graph.constants)
  if weights > LARGEST:
    raise ExportError(
      f'params: {weights:,} bytes, an ONNX file holds {LARGEST:,}; nearest: '
      'fewer hidden_features'
    )
  helper, kinds = graph.onnx.helper, graph.onnx.TensorProto

  def declare(name: str, shape: Sequence[int | str]) -> Any:
    kind = kinds.INT32 if name == 'lengths' else kinds.FLOAT
    return helper.make_tensor_value_info(name, kind, shape)

  return helper.make_model(
    helper.make_graph(
      graph.nodes,
      'lstm_variants',
      [declare(*item) for item in inputs.items()],
      [declare(*item) for item in outputs.items()],
      graph.constants,
    ),
    producer_name='lstm_variants',
    ir_version=IR_VERSION,
    opset_imports=[helper.make_opsetid('', OPSET)],
  )
