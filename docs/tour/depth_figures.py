"""How pictures 7 and 8 are drawn."""

from collections.abc import Sequence
from typing import Any

from matplotlib import figure, lines
import numpy as np

from docs.tour import canvas
from lstm_variants.plots import sequence_axes, theme

# Of a gradient: below it single precision has no numbers, log10.
_NOTHING = -38.0


def draw_stacking(
  stacks: Sequence[Any],
  run: str,
  text: Sequence[str],
  maps: Sequence[np.ndarray],
) -> figure.Figure:
  """Draw the layers over a text, their time constants, and the losses.

  Args:
    stacks: `depth.Stack` of one layer and of two.
    run: what the run of two layers is called.
    text: a symbol of each step.
    maps: h of the lower and of the upper layer, `[units, steps]`.
  """
  title = f'Stacking: the second layer reads what the first one says ({run})'
  with canvas.page(title, 6.6) as drawing:
    parts: Any = drawing.subfigures(3, 1, height_ratios=(1, 1.15, 1.3))
    upper, lower, below = parts
    for part, values, label in (
      (upper, maps[1], r'layer 2: $h^2_t$'),
      (lower, maps[0], r'layer 1: $h^1_t$'),
    ):
      axes = part.subplots()
      sequence_axes.draw_map(axes, values, sequence_axes.STATES, (-1, 1))
      axes.set_ylabel(label + '\n(units)')
      axes.set_yticks([])
      axes.set_xticks(
        range(len(text)), [theme.plain(sign) for sign in text], fontsize=8
      )
    axes.set_xlabel('input, one character a step')
    constants, losses = below.subplots(1, 2)
    _draw_tau(constants, stacks)
    for stack, color in zip(stacks, (canvas.BLUE, canvas.ORANGE), strict=True):
      curve = stack.curve
      losses.fill_between(
        curve.sequences,
        curve.low,
        curve.high,
        color=color,
        alpha=0.18,
        linewidth=0,
      )
      label = f'{stack.words} ({stack.weights:,} weights)'
      losses.plot(curve.sequences, curve.median, color=color, label=label)
    losses.set_ylabel('held-out loss\n(nats a character)')
    canvas.head(losses, 'median and range of seeds')
    canvas.steps(losses, 'training sequences')
    losses.xaxis.set_major_locator(canvas.few())
    canvas.legend(losses)
  return drawing


def _draw_tau(axes: Any, stacks: Sequence[Any]) -> None:
  """Draw the time constants of each layer as dots, the median as a line."""
  labels, rows = [], []
  for stack, color in zip(stacks, (canvas.BLUE, canvas.ORANGE), strict=True):
    for layer, tau in enumerate(stack.tau):
      labels.append(f'{stack.words},\nlayer {layer + 1}')
      rows.append((np.sort(tau[np.isfinite(tau) & (tau > 0)]), color))
  for y, (tau, color) in enumerate(rows):
    spread = y + 0.5 * (np.arange(len(tau)) % 5 - 2) / 5
    axes.plot(tau, spread, 'o', color=color, markersize=3, alpha=0.6)
    if len(tau):
      axes.vlines(np.median(tau), y - 0.4, y + 0.4, colors='black')
  axes.set_xscale('log')
  axes.set_yticks(range(len(labels)), labels, fontsize=8)
  axes.set_ylim(len(labels) - 0.4, -0.6)
  axes.set_xlabel('time constant of a unit (characters)')
  canvas.head(axes, r'$\tau=-1/\mathrm{mean}(\ln f)$; black: median')


def draw_lag(latches: Sequence[Any], length: int, stride: int) -> figure.Figure:
  """Draw a state of each model over all steps, and both gradients.

  Args:
    latches: `depth.Latch` of the LSTM and of the simple RNN.
    length: T of the task, in steps.
    stride: steps between what is drawn.
  """
  title = f'A lag of {length:,} steps: x or y at step 1, asked for at the end'
  colors = (canvas.BLUE, canvas.ORANGE)
  with canvas.page(title, 6.0) as drawing:
    *states, gradient = drawing.subplots(3, sharex=True)
    for axes, latch in zip(states, latches, strict=True):
      time = stride * np.arange(latch.values.shape[1])
      for values, answer in zip(latch.values, latch.answers, strict=True):
        axes.plot(time, values, color=colors[answer], linewidth=0.9)
      axes.set_ylabel(f'{latch.state} of unit {latch.unit}')
      canvas.head(
        axes,
        f'{latch.words}: {len(latch.values)} sequences; of all '
        f'{100 * latch.wrong:.0f} % are answered wrong',
      )
      handles = [lines.Line2D([], [], color=color) for color in colors]
      canvas.legend(
        axes,
        handles=handles,
        labels=['x', 'y'],
        loc='center left',
        bbox_to_anchor=(1.0, 0.5),
      )
    for latch, color in zip(latches, (canvas.GREEN, canvas.PINK), strict=True):
      with np.errstate(divide='ignore'):
        logs = np.log10(latch.norms)
      logs = np.where(np.isfinite(logs), logs, np.nan)
      gradient.plot(
        stride * np.arange(len(logs)),
        logs,
        color=color,
        label=rf'{latch.words.partition(",")[0]}:'
        rf' $\Vert\partial L/\partial {latch.state}_t\Vert$',
      )
    low, high = gradient.get_ylim()
    gradient.set_ylim(max(low, _NOTHING), high)
    canvas.powers(gradient)
    gradient.set_ylabel('gradient')
    canvas.head(
      gradient,
      'what arrives of the gradient of the loss, which comes from the end',
    )
    canvas.legend(gradient, loc='center left')
    canvas.steps(gradient, 'step t')
  return drawing
