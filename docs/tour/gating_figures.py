"""How pictures 5 and 6 are drawn; the fourth one is of `analysis`."""

from collections.abc import Sequence
from typing import Any

from matplotlib import axes as axes_lib
from matplotlib import cm, colors, figure
import numpy as np

from docs.tour import canvas
from lstm_variants.plots import sequence_axes, theme

_NAMES = {'i': 'input\ngate i', 'f': 'forget\ngate f', 'o': 'output\ngate o'}
# Gates that were less often somewhere are not seen, log10 of a share.
_RAREST = -5.0


def draw_peepholes(
  run: str,
  streams: Sequence[np.ndarray],
  failed: Sequence[float],
  peepholes: Any,
) -> figure.Figure:
  """Draw a stream of spikes, a cell state, and its gates with and without p.

  Args:
    run: what the run is called.
    streams: delay, target, output, output of the model whose p are all 0.
    failed: share of streams with a mistake, with and without peepholes.
    peepholes: `gating.Peepholes`.
  """
  delay, target, output, blind = streams
  edges, time = np.arange(len(delay) + 1) - 0.5, np.arange(len(delay))
  with canvas.page(f'Peepholes that tell the time: {run}', 6.4) as drawing:
    spikes, cut, state, *gates = drawing.subplots(
      6, sharex=True, height_ratios=(1, 1, 1.2, 0.8, 0.8, 0.8)
    )
    due = np.flatnonzero(target > 0.5)
    for axes, values, share, label in (
      (spikes, output, failed[0], 'as trained'),
      (cut, blind, failed[1], 'every peephole set to 0'),
    ):
      axes.stairs(
        delay,
        edges,
        fill=True,
        color=canvas.GRAY,
        alpha=0.5,
        label='input: delay',
      )
      axes.plot(time, values, color=canvas.BLUE, label='output')
      axes.plot(due, np.ones(len(due)), **_TARGET, label='a spike is due')
      axes.set_ylabel('output')
      axes.set_ylim(-0.3, 1.35)
      canvas.head(
        axes, f'{label}: {100 * share:.0f} % of the streams have a mistake'
      )
    canvas.legend(spikes, loc='center left', bbox_to_anchor=(1.0, 0.5))
    state.plot(time, peepholes.state['o'], color='black')
    state.set_ylabel('cell\nstate c')
    canvas.head(state, f'unit {peepholes.unit}')
    for axes, name in zip(gates, 'ifo', strict=True):
      _draw_gate(axes, name, peepholes)
    for axes in (spikes, cut, state, *gates):
      for step in due:
        axes.axvline(step, **theme.MARK)
    gates[-1].set_xlim(edges[0], edges[-1])
    canvas.steps(gates[-1], 'step t   (dashed: a spike is due)')
  return drawing


_TARGET: dict[str, Any] = {
  'linestyle': 'none',
  'marker': 'o',
  'markersize': 5,
  'fillstyle': 'none',
  'color': canvas.ORANGE,
}


def _draw_gate(axes: axes_lib.Axes, name: str, peepholes: Any) -> None:
  time = np.arange(len(peepholes.gates[name]))
  seen = 't' if name == 'o' else 't-1'
  weight = peepholes.weights[name]
  axes.plot(
    time,
    peepholes.gates[name],
    color=canvas.BLUE,
    label=rf'$\sigma(z_{name}+p_{name}c_{{{seen}}})$',
  )
  axes.plot(
    time,
    peepholes.without[name],
    color=canvas.ORANGE,
    linestyle=(0, (1, 1.2)),
    label=rf'$\sigma(z_{name})$',
  )
  axes.set_ylim(-0.06, 1.06)
  axes.set_ylabel(_NAMES[name])
  canvas.legend(
    axes,
    loc='center left',
    bbox_to_anchor=(1.0, 0.5),
    title=f'p = {weight:.2f}',
    title_fontsize=8,
  )


def draw_coupling(pairs: Sequence[Any]) -> figure.Figure:
  """Draw where the pairs of gates are, and the losses.

  Args:
    pairs: `gating.Pairs` of the free and of the coupled model.
  """
  with canvas.page('Coupling: one gate in place of two', 2.9) as drawing:
    panels = drawing.subplots(1, 3, width_ratios=(1, 1, 1.15))
    scale = colors.Normalize(_RAREST, 0)
    for axes, pair in zip(panels, pairs, strict=False):
      with np.errstate(divide='ignore'):
        logs = np.log10(pair.shares.T)
      axes.imshow(
        np.where(np.isfinite(logs), logs, np.nan),
        cmap=sequence_axes.SHARES,
        origin='lower',
        extent=(0, 1, 0, 1),
        norm=scale,
      )
      axes.set_xlabel('input gate i')
      canvas.head(axes, f'{pair.words}\n{pair.weights:,} weights')
    panels[0].set_ylabel('forget gate f')
    bar = drawing.colorbar(
      cm.ScalarMappable(scale, sequence_axes.SHARES),
      ax=list(panels[:2]),
      shrink=0.8,
    )
    bar.ax.yaxis.set_major_formatter(theme.power)
    bar.set_label('share of the values', fontsize=8)
    for pair, color in zip(pairs, (canvas.BLUE, canvas.ORANGE), strict=True):
      curve = pair.curve
      panels[2].fill_between(
        curve.sequences,
        curve.low,
        curve.high,
        color=color,
        alpha=0.18,
        linewidth=0,
      )
      label = pair.words.partition(',')[0]
      panels[2].plot(curve.sequences, curve.median, color=color, label=label)
    panels[2].set_yscale('log')
    panels[2].set_ylabel('held-out loss')
    canvas.head(panels[2], 'adding: median\nand range of seeds')
    canvas.steps(panels[2], 'training sequences')
    panels[2].xaxis.set_major_locator(canvas.few())
    canvas.legend(panels[2])
  return drawing
