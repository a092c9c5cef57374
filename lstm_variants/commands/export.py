"""Write the model of a run for other tools.

    lstm-variants export --workdir=runs/adding \\
        --run=peephole_seed0_0a1b2c3d --out=model.onnx

--run is an id, as in WORKDIR/populations/NAME/runs.jsonl, or what only one run
has: a beginning of its id (vanilla_seed0), fields (variant=vanilla,seed=0), or
`best`, the lowest final held-out loss of the runs that did not diverge. Without
--run the ids are listed. Of a run that is not finished the newest checkpoint
that is whole is taken. --out ends in .onnx, or in .safetensors for the weights
as torch names them: those of an LSTM under `lstm.`, those of a Linear under
`readout.`, those of an Embedding under `embedding.`; of direct connections, a
Linear from what the LSTM gets to the outputs, under `direct.`.
"""

import contextlib
import json
import pathlib
import shlex
from typing import Any

from absl import flags
import numpy as np
import safetensors.numpy

from lstm_variants import bridges, console
from lstm_variants.bridges import onnx as onnx_lib
from lstm_variants.commands import command, config_file
from lstm_variants.runs import files
from lstm_variants.training import trained

SUFFIXES = ('.onnx', '.safetensors')
_WORKDIR = command.define_workdir()
_RUN = flags.DEFINE_string(
  'run', None, 'The run: its id or a beginning of it, FIELD=VALUE,…, or best.'
)
_OUT = flags.DEFINE_string('out', None, 'The file, .onnx or .safetensors.')


def main() -> None:
  """Find the run, read its parameters, write them."""
  out = _checked_out()
  saved = trained.read(_WORKDIR.value)
  ids = saved.names
  index = trained.find(saved, _RUN.value)
  model = trained.load(saved, index)
  data, shapes = _translate(out, model)
  with files.refusals(out.parent):
    out.parent.mkdir(parents=True, exist_ok=True)
  files.write(out, data)
  if model.diverged:
    console.warn(
      f'{ids[index]}: {model.diverged}; its last finite weights are written'
    )
  run = model.run
  console.say(
    '\n'.join(
      [
        f'{out}: {ids[index]} after update {model.update:,}',
        f'  model         {run.model} on {run.settings.task_label}',
        *shapes,
      ]
    )
  )
  console.end(out, _reader(out))


def _reader(out: pathlib.Path) -> str:
  """Return a command that reads the file with the tool that it is for."""
  path = json.dumps(str(out), ensure_ascii=False)
  code = f'import safetensors.numpy as s; print(s.load_file({path}))'
  if out.suffix == '.onnx':
    code = f'import onnxruntime as o; o.InferenceSession({path})'
  return f'python -c {shlex.quote(code)}'


def _checked_out() -> pathlib.Path:
  if not _OUT.value:
    raise config_file.UsageError('--out: missing; nearest: --out=model.onnx')
  out = pathlib.Path(_OUT.value)
  if out.name in ('', '..'):
    raise config_file.UsageError(
      f'--out={out}: is a directory; nearest: {out / "model.onnx"}'
    )
  if out.suffix not in SUFFIXES:
    raise config_file.UsageError(
      f'--out={out}: must end in {" or ".join(SUFFIXES)}; nearest: '
      f'{out.with_suffix(SUFFIXES[0])}'
    )
  try:
    taken = out.is_dir()
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
      out.lstat()
  except (OSError, ValueError) as error:
    reason = getattr(error, 'strerror', None) or error
    raise config_file.UsageError(
      f'--out={out}: {reason}; nearest: --out=model{out.suffix}'
    ) from error
  if taken:
    raise config_file.UsageError(
      f'--out={out}: is a directory; nearest: {out / "model"}{out.suffix}'
    )
  return out


def _translate(
  out: pathlib.Path, model: trained.Trained
) -> tuple[bytes, list[str]]:
  """Return the file, and a line for each of its inputs and outputs or arrays.

  Raises:
    ExportError: the model cannot be put so.
  """
  run, params = model.run, model.params
  onnx_lib.check_zoneout(run.hyperparams)
  sizes = run.settings.architecture
  if out.suffix == '.safetensors':
    arrays = _torch(out, sizes, params, run.hyperparams.toggles)
    return safetensors.numpy.save(arrays), [
      f'  {name:<24}{list(leaf.shape)}' for name, leaf in arrays.items()
    ]
  graph = onnx_lib.export_onnx(
    params,
    run.hyperparams.toggles,
    None,
    cell=sizes.cell,
    residual=sizes.residual,
  )
  named = [('input', value) for value in graph.graph.input]
  named += [('output', value) for value in graph.graph.output]
  return graph.SerializeToString(), [
    f'  {kind:<14}{value.name} {_shape(value)}' for kind, value in named
  ]


def _torch(
  out: pathlib.Path, sizes: Any, params: Any, toggles: Any
) -> dict[str, np.ndarray]:
  """Return the arrays of a model as torch names them."""
  if sizes.cell != 'lstm':
    raise bridges.ExportError(
      f'--out={out}: torch.nn.LSTM is not {sizes.cell}; nearest: '
      f'{out.with_suffix(".onnx")}'
    )
  for name in ('layer_norm', 'learned_carry', 'residual'):
    if getattr(sizes, name):
      raise bridges.ExportError(
        f'{name}=True: torch.nn.LSTM has none; nearest: {name}=False'
      )
  arrays = bridges.to_torch(
    params['layers'],
    toggles,
    backward=params['backward']['layers'] if sizes.bidirectional else None,
    prefix='lstm.',
  )
  if sizes.embedding_features:
    arrays['embedding.weight'] = params['embedding']
  readout = params['readout']
  arrays['readout.weight'] = np.ascontiguousarray(readout['kernel'].T)
  arrays['readout.bias'] = readout['bias']
  if sizes.direct_connections:
    direct = np.ascontiguousarray(readout['direct_kernel'].T)
    arrays['direct.weight'] = direct
  return arrays


def _shape(value: Any) -> str:
  """Return the shape of an input or output of ONNX."""
  dims = value.type.tensor_type.shape.dim
  return f'[{", ".join(dim.dim_param or str(dim.dim_value) for dim in dims)}]'
