"""The copy task: repeat ten symbols after a long wait.

Alphabet: 0 is the blank, 1 to 8 are the symbols, 9 is the marker that asks for
the answer. Inputs are one-hot over these 10 classes; outputs are logits over
the 9 classes 0 to 8, one answer per step. The options `symbols` (8) and `items`
(10) change the alphabet and how many symbols there are to repeat.

Worked example, dialects `urnn16` and `tallec18` (the same sequences), T = 4,
with 3 symbols in place of 10: T − 1 blanks, one marker, then blanks while the
answer is given.

    input    5 2 7 0 0 0 9 0 0 0
    target   0 0 0 0 0 0 0 5 2 7

Dialect `variable`: the number of blanks before the marker is drawn from
U{1, …, T} for each sequence, and the rest of the batch's time axis is padding
(inputs are the zero vector, mask 0). With 1 blank:

    input    5 2 7 0 9 0 0 0 - -
    target   0 0 0 0 0 5 2 7 - -

Dialect `janet18`: T blanks, so that all of it is one step longer:

    input    5 2 7 0 0 0 0 9 0 0 0
    target   0 0 0 0 0 0 0 0 5 2 7

Dialect `tcn18`: the marker stays until the end, so that the model is told at
each step that it is to answer. The input is one channel with the number of the
class itself; outputs have a tenth class, the marker, which is never right.

    input    5 2 7 0 0 0 9 9 9 9
    target   0 0 0 0 0 0 0 5 2 7
"""

from collections.abc import Callable, Mapping
import functools
import math
import string
from typing import Any

import jax
import jax.numpy as jnp
import optax

from lstm_variants.tasks import base, copy_sequences

SYMBOLS = 8
ITEMS = 10
# Names of symbols, as long as they suffice.
CHARACTERS = string.digits[1:] + string.ascii_letters


def measure(outputs: jax.Array, batch: base.Batch) -> dict[str, base.Mean]:
  """Return the cross-entropies in nats and the share of wrong symbols.

  'loss' is the mean over all the steps of the sequences, as in the papers;
  'recall_loss' and 'wrong' are means over the steps of the answer.
  """
  entropy = optax.softmax_cross_entropy_with_integer_labels(
    outputs, batch.targets
  )
  recall = (batch.targets > 0).astype(entropy.dtype)
  wrong = (jnp.argmax(outputs, axis=-1) != batch.targets) * recall
  return {
    'loss': base.Mean(jnp.sum(entropy * batch.mask), jnp.sum(batch.mask)),
    'recall_loss': base.Mean(jnp.sum(entropy * recall), jnp.sum(recall)),
    'wrong': base.Mean(jnp.sum(wrong), jnp.sum(recall)),
  }


def sequence_errors(
  outputs: jax.Array, batch: base.Batch, *, items: int
) -> jax.Array:
  """Return the share of wrong symbols in each sequence's answer, `[batch]`.

  Args:
    outputs: logits `[batch, time, classes]`.
    batch: the targets are above 0 at the steps of the answer alone.
    items: how many these are.
  """
  wrong = (jnp.argmax(outputs, axis=-1) != batch.targets) & (batch.targets > 0)
  return jnp.sum(wrong, axis=1, dtype=outputs.dtype) / items


def _build(
  spec: base.Spec,
  dialect: str,
  draw: Callable[..., base.Batch],
  *,
  extra: int,
  mean_gap: float,
  repeated: str,
  numeric: bool = False,
  **texts: Any,
) -> base.Task:
  """Build a version whose T is followed by 2 items + `extra` steps.

  Chance: blanks are certain, symbols a guess: items · ln symbols nats per
  sequence of `mean_gap` + 2 items + 1 steps.
  """
  names = _name(spec.symbols)
  num_steps = spec.length + 2 * spec.items + extra
  mean_steps = mean_gap + 2 * spec.items + 1
  return base.Task(
    name='copy',
    dialect=dialect,
    length=spec.length,
    num_steps=num_steps,
    inputs=base.channels('class') if numeric else base.symbols(*names, '?'),
    outputs=base.symbols(*names, *('?' if numeric else '')),
    sample=base.sampler(
      draw, spec, num_steps, symbols=spec.symbols, items=spec.items
    ),
    measure=measure,
    sequence_errors=functools.partial(sequence_errors, items=spec.items),
    baselines={
      'loss': spec.items * math.log(spec.symbols) / mean_steps,
      'recall_loss': math.log(spec.symbols),
      'wrong': 1 - 1 / spec.symbols,
    },
    success=base.HeldOut('wrong', 0.01),
    summary=f'{spec.items} of {spec.symbols} symbols, repeated {repeated}',
    **texts,
  )


def _name(symbols: int) -> tuple[str, ...]:
  """Return the names of the blank and the symbols, one character if it can."""
  if symbols <= len(CHARACTERS):
    return ('.', *CHARACTERS[:symbols])
  return ('.', *(str(n) for n in range(1, symbols + 1)))


def build_urnn16(spec: base.Spec) -> base.Task:
  """Return the version of Arjovsky et al. at length T.

  Chance: blanks are certain, symbols a guess: 10 ln 8 / (T + 20) nats per step.
  No paper of this task has a rule of success: here it is that fewer than 1 % of
  the answer's symbols are wrong.
  """
  return _build(
    spec,
    'urnn16',
    copy_sequences.sample_urnn16,
    extra=0,
    mean_gap=spec.mean_length - 1,
    repeated='after T steps',
    reference='Arjovsky, Shah & Bengio, ICML 2016, arXiv:1511.06464',
  )


def build_tallec18(spec: base.Spec) -> base.Task:
  """Return the fixed version of Tallec & Ollivier, whose T is 500 and 2000.

  Chance: 10 ln 8 / (T + 20) nats per step, as in the paper. The sequences are
  those of `urnn16`. The paper has curves and no numbers.
  """
  return _build(
    spec,
    'tallec18',
    copy_sequences.sample_urnn16,
    extra=0,
    mean_gap=spec.mean_length - 1,
    repeated='after T steps',
    reference='Tallec & Ollivier, ICLR 2018, arXiv:1804.11188',
  )


def build_variable(spec: base.Spec) -> base.Task:
  """Return the version of Tallec & Ollivier with up to T blanks: 500, 1000.

  Chance: 10 ln 8 nats per sequence over (T + 1)/2 + 21 steps on average; the
  loss divides the batch's sum by the batch's steps.
  """
  return _build(
    spec,
    'variable',
    copy_sequences.sample_variable,
    extra=1,
    mean_gap=(spec.mean_length + 1) / 2,
    repeated='after a random wait of up to T',
    reference='Tallec & Ollivier, ICLR 2018, arXiv:1804.11188',
  )


def build_janet18(spec: base.Spec) -> base.Task:
  """Return the version of van der Westhuizen & Lasenby at length T.

  Chance: 10 ln 8 / (T + 21) nats per step. The program's default is T = 200.
  """
  return _build(
    spec,
    'janet18',
    copy_sequences.sample_janet18,
    extra=1,
    mean_gap=spec.mean_length,
    repeated='after T + 1 steps',
    reference='van der Westhuizen & Lasenby 2018, arXiv:1804.04849',
  )


def build_tcn18(spec: base.Spec) -> base.Task:
  """Return the version of Bai et al., whose T is 500, 1000 and 2000.

  Chance: 10 ln 8 / (T + 20) nats per step.
  """
  result = base.Published(
    1000,
    0.0204,
    'test loss',
    'Bai, Kolter & Koltun 2018, table 1',
    'LSTM of about 16,000 weights, no better than chance; GRU: 0.0197',
  )
  return _build(
    spec,
    'tcn18',
    copy_sequences.sample_tcn18,
    extra=0,
    mean_gap=spec.mean_length - 1,
    numeric=True,
    repeated='while the marker stays',
    reference='Bai, Kolter & Koltun 2018, arXiv:1803.01271',
    published=(result,),
  )


_OPTIONS = {
  'symbols': base.Option(SYMBOLS, 2, 1000, 'size of the alphabet'),
  'items': base.Option(ITEMS, 1, 1000, 'how many symbols to repeat'),
}
_BUILDS = {
  'urnn16': (build_urnn16, 'T - 1 blanks'),
  'variable': (build_variable, 'at least one blank'),
  'tallec18': (build_tallec18, 'T - 1 blanks'),
  'janet18': (build_janet18, 'T blanks'),
  'tcn18': (build_tcn18, 'T - 1 blanks'),
}
_DIALECTS: Mapping[str, base.Dialect] = {
  name: base.Dialect(build, 1, why, options=_OPTIONS)
  for name, (build, why) in _BUILDS.items()
}
TASKS = {'copy': _DIALECTS}
