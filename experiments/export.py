"""Write the model of a run for other tools.

    python -m experiments.export --workdir=runs/adding \\
        --run=peephole_seed0_0a1b2c3d --out=model.onnx

Takes the newest checkpoint of the run that is whole, finished or not; the ids
of the runs are in runs.jsonl, and without --run they are listed. --out ends in
.onnx, or in .safetensors for the weights as torch names them: those of an LSTM
under `lstm.`, those of a Linear under `readout.`.
"""

from collections.abc import Sequence
import difflib
import math
import pathlib
from typing import Any, NamedTuple

from absl import flags
import jax
from ml_collections import config_dict
import numpy as np
import safetensors.numpy

from experiments import command, config_file
from lstm_variants import bridges, console, export, results, storage
from lstm_variants.sweeps import study
from lstm_variants.training import (
  checkpoint,
  checks,
  population,
  records,
  resume,
  settings,
)

SUFFIXES = ('.onnx', '.safetensors')
# Of the ids that a refusal lists.
MOST_IDS = 8
_WORKDIR = command.define_workdir()
_RUN = flags.DEFINE_string('run', None, 'The id of the run, as in runs.jsonl.')
_OUT = flags.DEFINE_string('out', None, 'The file, .onnx or .safetensors.')


class Trained(NamedTuple):
  """A run as it was last saved."""

  run: settings.Run
  params: Any
  update: int
  diverged_at: int


def main() -> None:
  """Find the run, read its parameters, write them."""
  out = _checked_out()
  runs = _runs(results.read_study(_WORKDIR.value))
  ids = [records.run_name(run) for run in runs]
  index = _chosen(ids)
  trained = _load(_WORKDIR.value, runs, index)
  data, shapes = _translate(out, trained)
  with storage.refusals(out.parent):
    out.parent.mkdir(parents=True, exist_ok=True)
  storage.write(out, data)
  if trained.diverged_at >= 0:
    console.warn(
      f'{ids[index]}: diverged at update {trained.diverged_at}; its '
      'last finite weights are written'
    )
  run = trained.run
  console.say(
    '\n'.join(
      [
        f'{out}: {ids[index]} after update {trained.update:,}',
        f'  model         {run.model} on {run.settings.task_label}',
        *shapes,
      ]
    )
  )


def _checked_out() -> pathlib.Path:
  if not _OUT.value:
    raise config_file.UsageError('--out: missing; nearest: --out=model.onnx')
  out = pathlib.Path(_OUT.value)
  if out.suffix not in SUFFIXES:
    raise config_file.UsageError(
      f'--out={out}: must end in {" or ".join(SUFFIXES)}; nearest: '
      f'{out.with_suffix(SUFFIXES[0])}'
    )
  if out.is_dir():
    raise config_file.UsageError(
      f'--out={out}: is a directory; nearest: {out / "model"}{out.suffix}'
    )
  return out


def _runs(saved: dict[str, Any]) -> list[settings.Run]:
  """Return the runs of a study from what it wrote of them.

  JSON has no infinity, which only bounds that are off are.
  """
  runs = []
  for fields in saved['runs']:
    bounds = dict(fields.get('optimizer', {}))
    for name, value in bounds.items():
      bounds[name] = math.inf if value is None else value
    config = config_dict.ConfigDict({**fields, 'optimizer': bounds})
    runs.append(settings.from_config(config))
  return runs


def _chosen(ids: Sequence[str]) -> int:
  """Return the place of --run among the ids.

  Raises:
    UsageError: it is missing, or none of them.
  """
  if _RUN.value in ids:
    return ids.index(_RUN.value)
  close = difflib.get_close_matches(_RUN.value or '', ids, 1, 0.4)
  more = f', … ({len(ids)})' * (len(ids) > MOST_IDS)
  raise config_file.UsageError(
    ('--run: missing' if _RUN.value is None else f'--run={_RUN.value}: unknown')
    + f'; nearest: --run={(close or ids)[0]}'
    + f'; choices: {", ".join(ids[:MOST_IDS])}{more}'
  )


def _load(workdir: str, runs: Sequence[settings.Run], index: int) -> Trained:
  """Read the newest checkpoint of a run's population.

  Raises:
    CheckpointError: there is none, or none that is whole.
  """
  run = runs[index]
  members = next(p for p in study.split(runs) if run in p)
  name = records.population_name(members)
  place = pathlib.Path(workdir) / 'populations' / name
  if not place.exists():
    place = place.with_name(name + results.PARTIAL)
  place /= resume.CHECKPOINTS
  with jax.enable_x64(run.settings.dtype == 'float64'):
    template = population.describe_state(
      run.settings, [member.hyperparams for member in members]
    )
  identity = records.population_identity(members)
  saved = checkpoint.load(place, identity, template)
  if saved is None:
    raise checkpoint.CheckpointError(
      f'{place}: holds no checkpoint; repeat the command that made the study '
      'with --resume'
    )
  state, progress = saved
  lane = members.index(run)
  return Trained(
    run,
    jax.tree.map(lambda leaf: leaf[lane], state.params),
    progress.update,
    int(state.diverged_at[lane]),
  )


def _translate(out: pathlib.Path, trained: Trained) -> tuple[bytes, list[str]]:
  """Return the file, and a line for each of its inputs and outputs or arrays.

  Raises:
    ExportError: the model cannot be put so.
  """
  run, params = trained.run, trained.params
  for rate in ('zoneout_c', 'zoneout_h'):
    if getattr(run.hyperparams, rate):
      raise bridges.ExportError(
        f'{rate}={getattr(run.hyperparams, rate):g}: at test time a state is '
        'mixed with the one before, which other tools do not; nearest: '
        f'{rate}=0'
      )
  sizes = run.settings.architecture
  if out.suffix == '.safetensors':
    arrays = _torch(out, sizes, params, run.hyperparams.toggles)
    return safetensors.numpy.save(arrays), [
      f'  {name:<24}{list(leaf.shape)}' for name, leaf in arrays.items()
    ]
  model = export.export_onnx(
    params,
    run.hyperparams.toggles,
    None,
    cell=sizes.cell,
    residual=sizes.residual,
  )
  named = [('input', value) for value in model.graph.input]
  named += [('output', value) for value in model.graph.output]
  return model.SerializeToString(), [
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
  readout = params['readout']
  arrays['readout.weight'] = np.ascontiguousarray(readout['kernel'].T)
  arrays['readout.bias'] = readout['bias']
  return arrays


def _shape(value: Any) -> str:
  """Return the shape of an input or output of ONNX."""
  dims = value.type.tensor_type.shape.dim
  return f'[{", ".join(dim.dim_param or str(dim.dim_value) for dim in dims)}]'


if __name__ == '__main__':
  command.run(
    main,
    results.WorkdirError,
    checkpoint.CheckpointError,
    checks.InputError,
    bridges.ExportError,
  )
