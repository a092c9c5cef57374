"""Measuring spike delays (MSD): how long did nothing happen?

The input is a spike train T(n) = T(n−1) + F + I(n), with T(0) = 0 before the
first step: at least F steps to each spike, and I(n) more, drawn from
{0, …, symbols − 1}. The target at each spike is the I before it; other steps
have no target. Dialect `msd` is a stream of many intervals, `nmsd` (NMSD) one
interval, after which the state is reset.

Worked example with F = 4, I = 0, 1 and 1; `msd` has T = 16 steps:

    msd   spike   0 0 0 1 0 0 0 0 1 0 0 0 0 1 0 0
          target        0         1         1
    nmsd  spike   0 0 0 0 1
          target          1

What is chosen here. A stream of the paper ends at the first error or after 100
right spikes (1,000 in tests); here it has T steps, about T / (F + mean I)
spikes, and is presented whole. The paper also has I from {0, i} alone; here the
range has no holes. For I beyond {0, 1} the paper drops the squashing of the
output; here outputs are always linear.

The paper finds that this task needs no peepholes, and that with many values of
I it is learned better without them.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from lstm_variants.tasks import base, spike_trains


def sample_msd(
  key: jax.Array,
  batch_size: int,
  length: base.Length,
  num_steps: int,
  period: int,
  symbols: int,
) -> base.Batch:
  """Draw a stream of T steps; the target at each spike is I(n).

  Args:
    key: a PRNG key.
    batch_size: number of sequences.
    length: T in steps; the last spike is the last that fits.
    num_steps: the time axis, at least T.
    period: F in steps.
    symbols: I is drawn from {0, …, symbols − 1}.

  Returns:
    A `Batch`: inputs and targets `[batch, num_steps, 1]`; the mask is 1 at
    spikes.

  Reference:
    Gers, Schraudolph & Schmidhuber, JMLR 3, 2002, experiment MSD.
  """
  delays, spikes = spike_trains.draw(
    key, batch_size, num_steps, period, symbols
  )
  marks = spike_trains.place(spikes - 1, delays + 1, length, num_steps)
  mask = (marks > 0).astype(jnp.float32)
  targets = jnp.maximum(marks - 1, 0).astype(jnp.float32)
  return base.Batch(mask[..., None], targets[..., None], mask)


def sample_nmsd(
  key: jax.Array,
  batch_size: int,
  length: base.Length,
  num_steps: int,
  period: int,
  symbols: int,
) -> base.Batch:
  """Draw one interval: F + I − 1 silent steps and a spike with target I.

  Args:
    key: a PRNG key.
    batch_size: number of sequences.
    length: T in steps, at least F + symbols − 1; it changes nothing.
    num_steps: the time axis, at least F + symbols − 1.
    period: F in steps.
    symbols: I is drawn from {0, …, symbols − 1}.

  Returns:
    A `Batch`: inputs and targets `[batch, num_steps, 1]`; the mask is 1 at the
    spike.

  Reference:
    Gers, Schraudolph & Schmidhuber, JMLR 3, 2002, experiment NMSD.
  """
  del length
  delays = jax.random.randint(key, (batch_size,), 0, symbols)
  mask = jax.nn.one_hot(period + delays - 1, num_steps)
  targets = mask * delays[:, None]
  return base.Batch(mask[..., None], targets[..., None], mask)


def _all_latest(ends: np.ndarray, period: int, symbols: int) -> float:
  """Return how often all spikes of a stream come as late as they can.

  k of the longest intervals fit, and the next, drawn anew, does not fit; the
  mean over the T in `ends`. No other constant is right for more streams: the
  longest intervals are the fewest.
  """
  longest = period + symbols - 1
  count = ends // longest
  room = ends - count * longest - period
  too_long = np.clip(symbols - 1 - room, 0, symbols) / symbols
  return float(np.mean(np.power(float(symbols), -count) * too_long))


def baselines(spec: base.Spec) -> dict[str, float]:
  """Return the metrics of the best constants, each for its own metric."""
  ends = np.arange(spec.shortest, spec.length + 1)
  begun = spike_trains.intervals_begun(spec.length, spec.period, spec.symbols)
  delays = np.arange(spec.symbols)
  # How often I(n) = i, and its spike fits: it begins by T - F - i.
  counts = np.array([begun[ends - spec.period - i].mean() for i in delays])
  shares = counts / counts.sum()
  mean = float(shares @ delays)
  return {
    'loss': float(shares @ (delays - mean) ** 2),
    'wrong': 1 - float(shares.max()),
    'failed': 1 - _all_latest(ends, spec.period, spec.symbols),
  }


def build_msd(spec: base.Spec) -> base.Task:
  """Return MSD with streams of T steps.

  Chance: a constant, since all spikes look alike. For long T the loss is the
  variance of I, (symbols² − 1) / 12, and a share 1 − 1/symbols is wrong; at
  the end of a stream a small I is more likely to fit, which is reckoned in.

  Success: 100 right streams in a row. The paper asks for 100 right spikes in a
  row of one stream; here a stream has about T / (F + ½) of them and then ends.
  """
  spike_trains.check_room(spec, spec.period)
  return spike_trains.build(
    spec,
    sample_msd,
    name='spike_delays',
    dialect='msd',
    num_steps=spec.length,
    inputs=spike_trains.SPIKE,
    outputs=spike_trains.DELAY,
    baselines=baselines(spec),
    criterion='100 right spikes in a row of one stream, then 1,000 in a test '
    '(as quoted by others)',
    summary='MSD: at each spike of a stream, how late it came',
  )


def resolve_nmsd(spec: base.Spec) -> base.Spec:
  """Return the spec with F; without a `period` the longest interval takes T.

  F = T − (symbols − 1), of the shortest T where T is drawn: F must not vary,
  or I could not be inferred.
  """
  fits = max(spec.shortest - spec.symbols + 1, spike_trains.SMALLEST_PERIOD)
  return spec._replace(period=spec.period or fits)


def build_nmsd(spec: base.Spec) -> base.Task:
  """Return NMSD with F = `period`, which T bounds.

  Of a config F is that of training, at every evaluation length.

  Chance: a constant: the variance of I, (symbols² − 1) / 12, and 1 − 1/symbols
  of the answers wrong.

  Success: 100 right spikes in a row, as in the paper.
  """
  if spec.period == 1:
    raise base.SpecError(
      'period', 1, f'too small; nearest: {spike_trains.SMALLEST_PERIOD}'
    )
  spike_trains.check_room(spec, spec.period)
  wrong = 1 - 1 / spec.symbols
  return spike_trains.build(
    spec,
    sample_nmsd,
    name='spike_delays',
    dialect='nmsd',
    num_steps=spec.period + spec.symbols - 1,
    inputs=spike_trains.SPIKE,
    outputs=spike_trains.DELAY,
    baselines={
      'loss': (spec.symbols**2 - 1) / 12,
      'wrong': wrong,
      'failed': wrong,
    },
    criterion='100 right spikes in a row, then 1,000 in a test (as quoted by '
    'others)',
    summary='NMSD: at the one spike, how late it came',
  )


_OPTIONS = {'period': spike_trains.PERIOD, 'symbols': spike_trains.SYMBOLS}
_ONE_INTERVAL = {
  'period': base.Option(
    0, 0, 10**7, 'F, least steps to the spike; 0: as many as fit T'
  ),
  'symbols': spike_trains.SYMBOLS,
}
_DIALECTS: Mapping[str, base.Dialect] = {
  'msd': base.Dialect(
    build_msd, 11, 'the first spike takes up to 11', options=_OPTIONS
  ),
  'nmsd': base.Dialect(
    build_nmsd,
    3,
    'the spike takes at least 2 or 3',
    options=_ONE_INTERVAL,
    usual=11,
    resolve=resolve_nmsd,
  ),
}
TASKS = {'spike_delays': _DIALECTS}
