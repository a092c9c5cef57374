"""Generating timed spikes (GTS): let a given time pass, then spike.

The target is a spike train T(n) = T(n−1) + F + I(n), with T(0) = 0 before the
first step: at least F steps to each spike, and I(n) more, drawn from
{0, …, symbols − 1}. The input has I(n) at the first step of its interval and is
0 otherwise; the spike is due at the last.

Worked example with F = 4, I = 0, 1, 1 and 0, T = 16 steps:

    delay   0 0 0 0 1 0 0 0 0 1 0 0 0 0 0 0
    target  0 0 0 1 0 0 0 0 1 0 0 0 0 1 0 0

What is chosen here. The paper's task is MSD (`spike_delays`) with inputs and
targets swapped; that I(n) is shown for one step, the one after the last spike,
is chosen. An I of 0 leaves no trace in the input: spikes are never fed back (no
teacher forcing), so the model has to know when it spiked. A stream of the paper
ends at the first error or after 100 right spikes (1,000 in tests); here it has
T steps, about T / (F + mean I) spikes, and is presented whole.

The paper solves this task with peepholes only.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from lstm_variants.tasks import base, spike_trains


def sample_gts(
  key: jax.Array,
  batch_size: int,
  length: base.Length,
  num_steps: int,
  period: int,
  symbols: int,
) -> base.Batch:
  """Draw a stream of T steps; the target is the spike train, I(n) is given.

  Args:
    key: a PRNG key.
    batch_size: number of sequences.
    length: T in steps.
    num_steps: the time axis, at least T; what follows T is padding.
    period: F in steps, at least 2.
    symbols: I is drawn from {0, …, symbols − 1}.

  Returns:
    A `Batch`: inputs and targets `[batch, num_steps, 1]`; the mask is 1 at
    each of the T steps.

  Reference:
    Gers, Schraudolph & Schmidhuber, JMLR 3, 2002, experiment GTS.
  """
  delays, spikes = spike_trains.draw(
    key, batch_size, num_steps, period, symbols
  )
  starts = spikes - period - delays
  inputs = spike_trains.place(starts, delays, length, num_steps)
  targets = spike_trains.place(
    spikes - 1, jnp.ones_like(delays), length, num_steps
  )
  mask = (jnp.arange(num_steps) < length).astype(jnp.float32)
  return base.Batch(
    inputs.astype(jnp.float32)[..., None],
    targets.astype(jnp.float32)[..., None],
    jnp.broadcast_to(mask, targets.shape),
  )


def baselines(spec: base.Spec) -> dict[str, float]:
  """Return the metrics of who answers 0 to an I above 0, else a constant."""
  ends = np.arange(spec.shortest, spec.length + 1)
  begun = spike_trains.intervals_begun(spec.length, spec.period, spec.symbols)
  steps = ends.mean()
  spikes = float(begun[ends].mean()) - 1
  intervals = float(begun[ends - 1].mean()) * (1 - 1 / spec.symbols)
  open_steps = steps - intervals
  return {
    'loss': float(spikes * (1 - spikes / open_steps) / steps),
    'wrong': float(spikes / steps),
    'failed': 1.0,
  }


def build_gts(spec: base.Spec) -> base.Task:
  """Return GTS with streams of T steps.

  Chance: no spike where an I above 0 is shown, a constant elsewhere: with a
  share p of spikes among those steps, p (1 − p) of squared error at each of
  them; who never spikes is wrong at the spikes. No stream is right.

  Success: 100 right streams in a row. The paper asks for 100 right spikes in a
  row of one stream; here a stream has about T / (F + ½) of them and then ends,
  so what drifts later is not seen: judge it at a longer evaluation length.
  """
  spike_trains.check_room(spec, spec.period)
  return spike_trains.build(
    spec,
    sample_gts,
    name='timed_spikes',
    dialect='gers02',
    num_steps=spec.length,
    inputs=spike_trains.DELAY,
    outputs=spike_trains.SPIKE,
    baselines=baselines(spec),
    criterion='100 right spikes in a row of one stream, then 1,000 in a test '
    '(as quoted by others)',
    summary='GTS: spike after the time that is asked for, again and again',
  )


_OPTIONS = {'period': spike_trains.PERIOD, 'symbols': spike_trains.SYMBOLS}
_DIALECTS: Mapping[str, base.Dialect] = {
  'gers02': base.Dialect(
    build_gts,
    11,
    'the first spike takes up to 11',
    options=_OPTIONS,
    causal=True,
  )
}
TASKS = {'timed_spikes': _DIALECTS}
