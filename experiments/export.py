"""Write the model of a run for other tools.

    python -m experiments.export --workdir=runs/adding \\
        --run=peephole_seed0_0a1b2c3d --out=model.onnx

Takes the final parameters of a run that is finished, and of one that is not the
newest checkpoint that is whole; the ids of the runs are in runs.jsonl, and
without --run they are listed. --out ends in .onnx, or in .safetensors for the
weights as torch names them: those of an LSTM under `lstm.`, those of a Linear
under `readout.`.
"""

from collections.abc import Sequence
import contextlib
import difflib
import math
import pathlib
from typing import Any, NamedTuple
import zipfile
import zlib

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
_ADVICE = 'train it further, or choose another run'
# What damaged arrays and rows set off.
_UNREADABLE = (
  *(OSError, ValueError, LookupError, TypeError, EOFError, StopIteration),
  AttributeError,
  *(zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError),
)
# Of the ids that a refusal lists.
MOST_IDS = 8
_WORKDIR = command.define_workdir()
_RUN = flags.DEFINE_string('run', None, 'The id of the run, as in runs.jsonl.')
_OUT = flags.DEFINE_string('out', None, 'The file, .onnx or .safetensors.')


class Trained(NamedTuple):
  """A run as it was last saved; `diverged` tells that it has, or is empty."""

  run: settings.Run
  params: Any
  update: int
  diverged: str


def main() -> None:
  """Find the run, read its parameters, write them."""
  out = _checked_out()
  runs = _runs(_WORKDIR.value)
  ids = [records.run_name(run) for run in runs]
  index = _chosen(ids)
  trained = _load(_WORKDIR.value, runs, index)
  data, shapes = _translate(out, trained)
  with storage.refusals(out.parent):
    out.parent.mkdir(parents=True, exist_ok=True)
  storage.write(out, data)
  if trained.diverged:
    console.warn(
      f'{ids[index]}: {trained.diverged}; its last finite weights are written'
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
      # The name it has while it is written is longer.
      out.with_name(out.name + storage.ASIDE).lstat()
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


def _runs(workdir: str) -> list[settings.Run]:
  """Return the runs of a study from what it wrote of them.

  Raises:
    WorkdirError: there is no study, or what it holds are no runs of ours.
  """
  saved = results.read_study(workdir)['runs']
  if not saved:
    raise results.WorkdirError(
      f'--workdir={workdir}: its study has no runs; choose another'
    )
  try:
    return [_run_of(fields) for fields in saved]
  except checks.InputError:
    raise
  except (TypeError, ValueError, LookupError, AttributeError) as error:
    raise results.WorkdirError(
      f'{pathlib.Path(workdir) / "study.json"}: holds a run that is none of '
      f'ours ({type(error).__name__}: {error}); choose another study'
    ) from error


def _run_of(fields: dict[str, Any]) -> settings.Run:
  """Return a run; JSON has no infinity, which only bounds that are off are."""
  bounds = dict(fields.get('optimizer', {}))
  for name, value in bounds.items():
    bounds[name] = math.inf if value is None else value
  config = config_dict.ConfigDict({**fields, 'optimizer': bounds})
  return settings.from_config(config)


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
  """Read a run from what its population has left.

  Raises:
    CheckpointError: it is not finished, and no checkpoint can be used.
    WorkdirError: it is finished, and what was written then cannot be read.
  """
  run = runs[index]
  members = next(p for p in study.split(runs) if run in p)
  name = records.population_name(members)
  with jax.enable_x64(run.settings.dtype == 'float64'):
    template = population.describe_state(
      run.settings, [member.hyperparams for member in members]
    )
  lane = members.index(run)
  if results.is_finished(workdir, name):
    return _finished(workdir, name, run, lane, template.params)
  place = pathlib.Path(workdir) / 'populations' / (name + results.PARTIAL)
  place /= resume.CHECKPOINTS
  identity = records.population_identity(members)
  try:
    saved = checkpoint.load(place, identity, template)
  except checkpoint.CheckpointError as error:
    # Its advice is for the programs that train.
    damage = str(error).partition('; no checkpoint is left')[0]
    raise checkpoint.CheckpointError(f'{damage}; {_ADVICE}') from error
  if saved is None:
    raise checkpoint.CheckpointError(f'{place}: holds no checkpoint; {_ADVICE}')
  state, progress = saved
  diverged_at = int(state.diverged_at[lane])
  return Trained(
    run,
    jax.tree.map(lambda leaf: leaf[lane], state.params),
    progress.update,
    f'diverged at update {diverged_at}' if diverged_at >= 0 else '',
  )


def _finished(
  workdir: str, name: str, run: settings.Run, lane: int, template: Any
) -> Trained:
  """Read a run of a population that has been trained to its end.

  Raises:
    WorkdirError: what was written then cannot be read, or is of other runs.
  """
  wanted = checkpoint.named_leaves(template)
  place = pathlib.Path(workdir) / 'populations' / name
  try:
    found = results.read_params(workdir, name)
    for key, leaf in wanted.items():
      if (found[key].shape, found[key].dtype) != (leaf.shape, leaf.dtype):
        raise storage.DamagedError(f'{key} is of another model')
    rows = list(storage.read_json_lines(place / 'runs.jsonl'))
    row = next(r for r in rows if r['id'] == records.run_name(run))
    update = int(row['updates'])
    diverged = 'diverged' * (row['status'] == 'diverged')
  except _UNREADABLE as error:
    raise results.WorkdirError(
      f'{place}: its params.npz or runs.jsonl cannot be read '
      f'({type(error).__name__}: {error}); choose another run'
    ) from error
  leaves = [found[key][lane] for key in wanted]
  params = jax.tree.unflatten(jax.tree.structure(template), leaves)
  return Trained(run, params, update, diverged)


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
