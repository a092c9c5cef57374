"""What the gates of a trained model do, and numbers of it.

`trace` records every step of sequences. The rest is plain NumPy on what it
returns: averages around marks, how often a gate is saturated, how long gates
keep a state, which unit tells most of the answer.
"""

from typing import Any, NamedTuple

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from lstm_variants import cells, models
from lstm_variants.cells import remedies
from lstm_variants.evidence import compiling
from lstm_variants.models import probes
from lstm_variants.models.architecture import Architecture, settings_of

# Below and above them a gate is saturated: Karpathy, Johnson & Fei-Fei 2015.
LEFT, RIGHT = 0.1, 0.9
# What the gates of cells are called.
NAMES: dict[str, str] = {
  'i': 'input gate i',
  'f': 'forget gate f',
  'o': 'output gate o',
  'z': 'update gate z',
  'r': 'reset gate r',
  'd': 'depth gate d',
  'in': 'input gate',
  'out': 'output gate',
}
# The gates of an LSTM, and the toggles without which they are 1.
_TOGGLED = {'i': 'input_gate', 'f': 'forget_gate', 'o': 'output_gate'}


class Trace(NamedTuple):
  """What a layer did, `[batch, time, units]` each.

  Attributes:
    gates: name -> values from 0 to 1, in the order of the cell; none of a cell
      without gates.
    off: the gates that the model does not have: they read 1.
    candidate: g, what the gates let in; None without gates.
    keep: the factor of the old state in the new one, zoneout included; None
      without gates.
    c: cell state; None of a cell whose state is h.
    h: hidden state.
    outputs: of the readout, `[batch, time, out_features]`.
  """

  gates: dict[str, np.ndarray]
  off: tuple[str, ...]
  candidate: np.ndarray | None
  keep: np.ndarray | None
  c: np.ndarray | None
  h: np.ndarray
  outputs: np.ndarray


class Aligned(NamedTuple):
  """Averages over sequences around a marked step of each.

  NaN where no sequence has a step.

  Attributes:
    steps: from the marked one, `[window]`; negative before it.
    mean: `[marks, window, units]`.
    low: a quantile, of the same shape.
    high: another.
    counts: sequences that have that step, `[marks, window]`.
  """

  steps: np.ndarray
  mean: np.ndarray
  low: np.ndarray
  high: np.ndarray
  counts: np.ndarray


class Saturation(NamedTuple):
  """How often a gate is nearly shut and nearly open.

  Attributes:
    left: share of steps below `LEFT`, `[units]`.
    right: share of steps above `RIGHT`, `[units]`.
    shares: of all values, by bins from 0 to 1 of equal width, `[bins]`.
  """

  left: np.ndarray
  right: np.ndarray
  shares: np.ndarray


def trace(
  params: dict[str, Any],
  architecture: Architecture,
  toggles: Any,
  inputs: jax.Array,
  *,
  layer: int = -1,
  noise: remedies.Noise | None = None,
) -> Trace:
  """Run a model and record what a layer does at every step.

  The carries are those of `models.apply_model`, one step at a time; the gates
  are computed from them by `Cell.gates`, where the step has its equations.

  Args:
    params: of a model, see `models.init_model`.
    architecture: of one direction, without layer normalisation.
    toggles: of the cell, of one run.
    inputs: `[batch, time, in_features]`.
    layer: which; −1 is the last.
    noise: None, or zoneout at test time: its key is None.

  Raises:
    ValueError: no such layer; a model or noise whose gates are not known, or a
      cell whose carry does not name its states.
  """
  layer = _check(architecture, layer, noise)
  cell, off = cells.CELLS[architecture.cell], ()
  if cell.toggled:
    # Of one run: known, whoever holds them.
    toggles = type(toggles)(*(np.asarray(value).item() for value in toggles))
    off = tuple(g for g, on in _TOGGLED.items() if not getattr(toggles, on))
  gates, *rest = jax.tree.map(
    np.asarray,
    _arrays(architecture, toggles, layer, params, jnp.asarray(inputs), noise),
  )
  # A map over a tree sorts names.
  ordered = {n: gates[n] for n in NAMES if n in gates}
  return Trace(ordered, off, *rest)


@compiling.program(0, 1, 2)
def _arrays(
  architecture: Architecture,
  toggles: Any,
  layer: int,
  params: dict[str, Any],
  inputs: jax.Array,
  noise: remedies.Noise | None,
) -> tuple[Any, ...]:
  """Return gates, candidate, keep, c, h and outputs, batch major."""
  settings = settings_of(architecture, toggles)
  cell, of_layer = cells.CELLS[architecture.cell], params['layers'][layer]
  before, below, after, outputs = _follow(
    params, architecture, toggles, inputs, layer, noise
  )
  c = after.c if 'c' in cell.zones else None
  values, candidate, keep = {}, None, None
  if cell.gates is not None:
    opened = cell.gates(of_layer, settings, before, below)
    values, candidate = opened.values, opened.candidate
    keep = _zoned(cell, noise, opened.keep)
    c = opened.state if c is None else c
  return jax.tree.map(
    lambda x: jnp.swapaxes(x, 0, 1),
    (values, candidate, keep, c, after.h, outputs),
  )


def _check(
  architecture: Architecture, layer: int, noise: remedies.Noise | None
) -> int:
  """Return the layer, counted from 0, or refuse.

  Raises:
    ValueError: what, the value, the rule.
  """
  count = architecture.num_layers
  if not -count <= layer < count:
    nearest = 0 if layer < 0 else count - 1
    raise ValueError(f'layer={layer} of num_layers={count}; nearest: {nearest}')
  probes.check_named(cells.CELLS[architecture.cell])
  for name in ('layer_norm', 'bidirectional'):
    if getattr(architecture, name):
      raise ValueError(
        f'{name}=True: the gates of such a model are not traced; nearest: '
        'a model without it'
      )
  if noise is not None and noise.key is not None:
    raise ValueError(
      'noise with a key is drawn; its key must be None, as in a test'
    )
  return layer % count


def _follow(params, architecture, toggles, inputs, layer, noise):
  """Run step by step.

  Returns:
    The carry of the layer before each step, what it sees, and its carry after
    the step, all time major, and the outputs.
  """
  settings = settings_of(architecture, toggles)
  first = models.first_carries(params, architecture, settings, inputs)

  def body(carries, x):
    new, outputs = models.apply_model(
      params, architecture, toggles, x[:, None], carries, noise=noise
    )
    new = jax.tree.map(lambda n, o: n.astype(o.dtype), new, carries)
    return new, (new, outputs[:, 0])

  below = jnp.swapaxes(inputs, 0, 1)
  _, (carries, outputs) = lax.scan(body, first, below)
  below = models.embed(params, below)
  for index in range(layer):
    residual = architecture.residual and index
    below = carries[index].h + (below if residual else 0)
  before = jax.tree.map(
    lambda start, after: jnp.concatenate((start[None], after[:-1])),
    first[layer],
    carries[layer],
  )
  return before, below, carries[layer], outputs


def _zoned(cell, noise, keep):
  """Return the factor with zoneout at test time: d + (1 − d) f."""
  if noise is None:
    return keep
  name = 'c' if 'c' in cell.zones else 'h'
  share = jnp.asarray(getattr(noise, f'zoneout_{name}'), keep.dtype)
  return share + (1 - share) * keep


def find_marks(channel: npt.ArrayLike, count: int) -> np.ndarray:
  """Return the first steps at which a channel is above 1/2.

  Args:
    channel: of the inputs, `[batch, time]`: a marker, or one symbol.
    count: how many to find.

  Returns:
    `[batch, count]`, in steps from 0; −1 where there are fewer.
  """
  marked = np.asarray(channel) > 0.5
  number = np.cumsum(marked, axis=1)
  of_marks = [marked & (number == n) for n in range(1, count + 1)]
  steps = [np.where(one.any(1), one.argmax(1), -1) for one in of_marks]
  return np.stack(steps, axis=1)


def at_steps(values: npt.ArrayLike, steps: npt.ArrayLike) -> np.ndarray:
  """Return the values of each sequence at its own step.

  Args:
    values: `[batch, time, units]`.
    steps: `[batch]`, within the time axis.

  Returns:
    `[batch, units]`.

  Raises:
    ValueError: a step that is not there.
  """
  values, steps = np.asarray(values), np.asarray(steps)
  if np.any((steps < 0) | (steps >= values.shape[1])):
    raise ValueError(
      f'steps from {steps.min()} to {steps.max()} of {values.shape[1]}; leave '
      'out the sequences without one'
    )
  return values[np.arange(len(values)), steps]


def aligned(
  values: npt.ArrayLike,
  marks: npt.ArrayLike,
  before: int,
  after: int,
  *,
  lengths: npt.ArrayLike | None = None,
  quantiles: tuple[float, float] = (0.1, 0.9),
) -> Aligned:
  """Average over sequences around marked steps, each mark by itself.

  What is not finite spreads: a unit that diverged in one sequence has no mean.

  Args:
    values: `[batch, time, units]`.
    marks: `[batch, marks]`, in steps; −1 for a sequence without that mark.
    before: steps to show before the mark.
    after: steps to show after it.
    lengths: steps of each sequence, `[batch]`, the rest is padding; None: all.
    quantiles: low and high, over sequences.

  Raises:
    ValueError: marks that are not one row of each sequence.
  """
  values, marks = np.asarray(values, float), np.asarray(marks)
  batch, time, _ = values.shape
  if marks.ndim != 2 or len(marks) != batch:
    raise ValueError(f'marks {marks.shape} must be ({batch}, number of marks)')
  ends = np.full(batch, time) if lengths is None else np.asarray(lengths)
  steps = np.arange(-before, after + 1)
  shape = marks.shape[1], len(steps), values.shape[2]
  mean, low, high = (np.full(shape, np.nan) for _ in range(3))
  counts = np.zeros(shape[:2], int)
  for mark, window in np.ndindex(*counts.shape):
    at = marks[:, mark] + steps[window]
    inside = (marks[:, mark] >= 0) & (at >= 0) & (at < ends)
    rows = values[inside, at[inside]]
    counts[mark, window] = len(rows)
    if len(rows):
      mean[mark, window] = rows.mean(axis=0)
      low[mark, window], high[mark, window] = np.quantile(rows, quantiles, 0)
  return Aligned(steps, mean, low, high, counts)


def saturation(
  gate: npt.ArrayLike, inside: npt.ArrayLike | None = None, bins: int = 40
) -> Saturation:
  """Return how often the units of a gate are nearly shut or nearly open.

  Args:
    gate: `[batch, time, units]`, from 0 to 1.
    inside: boolean `[batch, time]`, the steps that count; None: all.
    bins: of the histogram.

  Raises:
    ValueError: no step, or values that are not from 0 to 1.

  Reference:
    Karpathy, Johnson & Fei-Fei 2015, arXiv:1506.02078.
  """
  values = _count(gate, inside)
  counts, _ = np.histogram(values, bins, (0, 1))
  return Saturation(
    np.mean(values < LEFT, axis=0),
    np.mean(values > RIGHT, axis=0),
    counts / values.size,
  )


def time_constants(
  keep: npt.ArrayLike, inside: npt.ArrayLike | None = None
) -> np.ndarray:
  """Return the time in which a unit forgets all but 1/e of its state.

      τ = −1 / mean(ln f)        the mean over steps and sequences

  After k steps the product of the factors leaves exp(−k / τ) of what was there:
  this mean, and no other, gives the product. Near f = 1 it is 1 / (1 − f) − ½,
  of which 1 / (1 − f) is the forgetting time of Tallec & Ollivier.

  It is the time along the state alone: what a unit keeps by writing it again,
  through h, does not show.

  Args:
    keep: f, or whatever keeps the state (`Trace.keep`), `[batch, time, units]`.
    inside: boolean `[batch, time]`, the steps that count; None: all.

  Returns:
    τ in steps, `[units]`; inf of a unit that forgets nothing, 0 of one that
    once forgets everything.

  Raises:
    ValueError: no step, or values that are not from 0 to 1.

  Reference:
    Tallec & Ollivier, ICLR 2018, arXiv:1804.11188; −1 / ln f of a mean forget
    gate: Mahto, Vo, Turek & Huth, ICLR 2021, arXiv:2009.12727.
  """
  values = _count(keep, inside)
  with np.errstate(divide='ignore'):
    mean = np.mean(np.log(values), axis=0)
    return np.where(mean == 0, np.inf, -1 / mean)


def _count(gate: Any, inside: Any) -> np.ndarray:
  """Return the values at the steps that count, `[steps, units]`."""
  values = np.asarray(gate, float)
  if inside is None:
    values = values.reshape(-1, values.shape[-1])
  else:
    values = values[np.asarray(inside, bool)]
  if not values.size:
    raise ValueError('no step counts; give at least one sequence with steps')
  if not np.all((values >= 0) & (values <= 1)):
    raise ValueError(
      f'gates from {np.min(values):g} to {np.max(values):g}: they must be from '
      '0 to 1; a run that diverged has none'
    )
  return values


def relevance(states: npt.ArrayLike, remembered: npt.ArrayLike) -> np.ndarray:
  """Return how much each unit tells of what is to be remembered.

  Args:
    states: of many sequences at one step each, `[batch, units]`.
    remembered: `[batch]`; a number, or as integers a class.

  Returns:
    `[units]`: the correlation with a number, from −1 to 1; of classes the
    correlation ratio, √(variance between classes / variance), from 0 to 1. 0 of
    a unit that does not vary.
  """
  states, target = np.asarray(states, float), np.asarray(remembered)
  centred = states - states.mean(axis=0)
  if np.issubdtype(target.dtype, np.integer):
    fitted = np.zeros_like(centred)
    for value in np.unique(target):
      fitted[target == value] = centred[target == value].mean(axis=0)
    share = _ratio(np.sum(fitted**2, 0), np.sum(centred**2, 0))
    return np.sqrt(np.clip(share, 0, 1))
  off = target - target.mean()
  scale = np.sqrt(np.sum(centred**2, 0) * np.sum(off**2))
  return _ratio(off @ centred, scale)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
  return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def order(values: npt.ArrayLike) -> np.ndarray:
  """Return the units from the largest value to the smallest, NaN last."""
  values = np.asarray(values, float)
  return np.argsort(np.where(np.isnan(values), np.inf, -values), kind='stable')
