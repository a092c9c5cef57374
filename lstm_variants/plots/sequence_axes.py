"""One sequence, step by step: what a model saw, said, and should have said."""

from collections.abc import Sequence
from typing import Any

from matplotlib import axes as axes_lib
from matplotlib import ticker
import numpy as np

from lstm_variants.plots import samples, theme

# Of a gate, or a chance: white is 0, dark is 1. Of a state: white is 0. Both
# are told apart by the colour-blind.
SHARES, STATES = 'Blues', 'PuOr_r'
# Classes, and channels, that have a name each.
_CLASSES, _CHANNELS = 24, 6
# Steps of which each is drawn by itself.
_SINGLE = 500


def draw_inputs(
  axes: axes_lib.Axes, sample: samples.Sample, steps: int
) -> None:
  """Draw the symbols, or a line for each channel; of zeros and ones an area."""
  inputs, (names, one_hot) = sample.inputs[:steps], sample.in_axis
  axes.set_ylabel('input')
  if one_hot:
    step, symbol = np.nonzero(inputs > 0)
    axes.plot(step, symbol, 's', markersize=3, color=theme.PALETTE[0])
    _name_rows(axes, names)
    return
  edges = np.arange(steps + 1) - 0.5
  for n, (name, values) in enumerate(zip(names, inputs.T, strict=True)):
    switch = len(names) > 1 and set(np.unique(values)) <= {-1.0, 0.0, 1.0}
    axes.stairs(
      values,
      edges,
      baseline=0 if switch else None,
      fill=switch,
      alpha=0.35 if switch else 1,
      color=theme.PALETTE[n % len(theme.PALETTE)],
      label=theme.plain(name) if n < _CHANNELS else None,
    )
  add_legend(axes)


def draw_outputs(
  axes: axes_lib.Axes, sample: samples.Sample, outputs: np.ndarray
) -> None:
  """Draw what the model says and, where it is asked, what is right.

  Args:
    axes: to draw on.
    sample: the sequence.
    outputs: `[steps, out_features]`; of classes logits, drawn as softmax.
  """
  asked = np.flatnonzero(sample.mask[: len(outputs)] > 0)
  targets, (names, one_hot) = sample.targets[asked], sample.out_axis
  right: dict[str, Any] = {
    'linestyle': 'none',
    'marker': 'o',
    'markersize': 5,
    'fillstyle': 'none',
    'color': theme.PALETTE[1],
    'clip_on': False,
    'zorder': 3,
  }
  if one_hot:
    axes.set_ylabel('output\n(softmax)')
    chances = np.exp(outputs - outputs.max(-1, keepdims=True))
    chances /= chances.sum(-1, keepdims=True)
    draw_map(axes, chances.T, SHARES, (0, 1))
    _name_rows(axes, names)
    where, classes = asked, targets
    if targets.ndim > 1:
      row, classes = np.nonzero(targets > 0)
      where = asked[row]
    axes.plot(where, classes, **right)
    return
  axes.set_ylabel('output')
  for n, name in enumerate(names):
    label = 'output' if len(names) == 1 else f'output {name}'
    axes.plot(
      outputs[:, n],
      linewidth=1.3,
      color=theme.PALETTE[(2 * n) % len(theme.PALETTE)],
      label=theme.plain(label) if n < _CHANNELS else None,
    )
    axes.plot(asked, targets[:, n], **right, label=None if n else 'target')
  axes.margins(y=0.15)
  add_legend(axes)


def draw_map(
  axes: axes_lib.Axes,
  values: np.ndarray,
  colors: str,
  limits: tuple[float, float],
) -> None:
  """Draw values `[rows, steps]` as colours, with the scale at the side."""
  axes.grid(visible=False)
  image = axes.imshow(
    values,
    cmap=colors,
    vmin=limits[0],
    vmax=limits[1],
    aspect='auto',
    interpolation='nearest' if values.shape[1] <= _SINGLE else 'antialiased',
  )
  scale = axes.inset_axes((1.015, 0.05, 0.018, 0.9))
  axes.figure.colorbar(image, cax=scale)
  scale.tick_params(labelsize=7)
  scale.yaxis.set_major_locator(ticker.MaxNLocator(2))


def add_legend(axes: axes_lib.Axes) -> None:
  """Write the labels of lines at the side."""
  axes.legend(
    loc='center left',
    bbox_to_anchor=(1.0, 0.5),
    fontsize=7,
    frameon=False,
    handlelength=1.5,
  )


def _name_rows(axes: axes_lib.Axes, names: Sequence[str]) -> None:
  if len(names) <= _CLASSES:
    size = 8 if len(names) < 8 else 5
    axes.set_yticks(
      range(len(names)), [theme.plain(name) for name in names], fontsize=size
    )
  axes.set_ylim(len(names) - 0.5, -0.5)
