"""Pictures 1 to 3: what a product of many factors does to a memory."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from docs.tour import (
  picture,
  products_figures,
  singular_values,
  singular_values_figures,
)
from lstm_variants.evidence import subjects
from lstm_variants.evidence.gradient_flow import curves as gradient_curves

# Sequences over which a unit is chosen.
SEQUENCES = 128
# Of the second picture: σ, width, steps, and what drives a unit.
VALUES = (0.5, 0.8, 0.95, 1.0, 1.05, 1.25, 2.0)
UNITS, LAGS, DRAWS, DRIVE = 32, 60, 5, 0.5


class Factors(NamedTuple):
  """The Jacobians of the steps of a simple RNN, and their product.

  Attributes:
    norms: ‖J_t‖, the most that a step can multiply by, `[time − 1]`.
    factors: what a step does multiply the norm of the product by,
      `[time − 1]`.
    product: log10 of the product of these factors, `[time]`, from k = 0.
  """

  norms: np.ndarray
  factors: np.ndarray
  product: np.ndarray


class Belt(NamedTuple):
  """What each step has put into the cell state of a unit.

  Attributes:
    put: i_t g_t, `[time]`.
    parts: what step s has put and step t still has, `[time s, time t]`; NaN
      before s.
  """

  put: np.ndarray
  parts: np.ndarray


def multiply(hiddens: npt.ArrayLike, recurrent: npt.ArrayLike) -> Factors:
  """Multiply the Jacobians of a simple RNN along one sequence.

      J_t = ∂h_t/∂h_{t−1} = R diag(1 − h_t²)      of h_t = tanh(x W + h R + b)
      ∂h_k/∂h_0 = J_1 J_2 ⋯ J_k             h is a row; h_0 is the first one

  A step multiplies the norm of this product by at most ‖J_t‖, and by less where
  what J_t stretches most is not what is left.

  Args:
    hiddens: h, `[time, units]`.
    recurrent: R, `[units, units]`.

  Reference:
    Pascanu, Mikolov & Bengio, ICML 2013, arXiv:1211.5063, section 2.1.
  """
  matrix = np.asarray(recurrent, float)
  product, norms, factors = np.eye(len(matrix)), [], []
  for slope in 1 - np.square(np.asarray(hiddens, float)[1:]):
    jacobian = matrix * slope
    product = product @ jacobian
    norms.append(np.linalg.norm(jacobian, 2))
    factors.append(np.linalg.norm(product, 2))
    # Of size 1 again, so that no product leaves the range of numbers.
    product = product / (factors[-1] or 1.0)
  with np.errstate(divide='ignore'):
    logs = np.cumsum(np.log10(factors))
  return Factors(
    np.asarray(norms), np.asarray(factors), np.concatenate(([0.0], logs))
  )


def carry(forget: np.ndarray, put: np.ndarray) -> Belt:
  """Take apart the cell state of a unit by the steps it came from.

      c_t = f_t c_{t−1} + i_t g_t = Σ_s (f_{s+1} ⋯ f_t) i_s g_s

  Args:
    forget: f, `[time]`.
    put: i ⊙ g, `[time]`.
  """
  time = len(put)
  parts = np.full((time, time), np.nan)
  for s in range(time):
    kept = np.concatenate(([1.0], np.cumprod(forget[s + 1 :])))
    parts[s, s:] = put[s] * kept
  return Belt(np.asarray(put), parts)


def draw_chain(
  study: subjects.Study, rnn: subjects.Subject, lstm: subjects.Subject
) -> picture.Drawn:
  """Draw the factors of each step and their product, of both models."""
  plain, gated = (picture.look(study, model, 1) for model in (rnn, lstm))
  weights = plain.params['layers'][0].recurrent_kernel
  factors = multiply(plain.trace.h[0], weights)
  keep = gated.trace.keep
  assert keep is not None
  forget = np.asarray(keep[0, 1:], float)
  with np.errstate(divide='ignore'):
    logs = np.cumsum(np.log10(forget), axis=0)
  kept = np.concatenate((np.zeros((1, forget.shape[1])), logs))
  best = int(np.argmax(kept[-1]))
  rows = [
    ('', '', factors.product[k], '', kept[k, best], np.median(kept[k]))
    if k == 0
    else (
      factors.norms[k - 1],
      factors.factors[k - 1],
      factors.product[k],
      forget[k - 1, best],
      kept[k, best],
      np.median(kept[k]),
    )
    for k in range(len(kept))
  ]
  columns = (
    'lag',
    'rnn_norm_of_step',
    'rnn_factor_of_step',
    'rnn_log10_product',
    'lstm_forget_gate_of_best_unit',
    'lstm_log10_product_of_best_unit',
    'lstm_log10_product_of_median_unit',
  )
  figure = products_figures.draw_chain(
    (plain.words, gated.words), factors, forget, kept, best
  )
  return picture.Drawn(
    figure, columns, [(k, *row) for k, row in enumerate(rows)]
  )


def draw_vanishing(study: subjects.Study) -> picture.Drawn:
  """Draw simple RNNs by the largest singular value of R; they are untrained."""
  del study
  curves = singular_values.singular_value_curves(
    VALUES, UNITS, LAGS, range(DRAWS), DRIVE
  )
  rows = []
  for n, matrix in enumerate(singular_values.MATRICES):
    for m, regime in enumerate(singular_values.REGIMES):
      for value, norms in zip(VALUES, curves.norms[n, m], strict=True):
        spread = gradient_curves.over_seeds(norms)
        rows += [
          (matrix, regime, value, k, *(round(float(x), 4) for x in of_lag))
          for k, of_lag in enumerate(
            zip(spread.low, spread.median, spread.high, strict=True)
          )
        ]
  return picture.Drawn(
    singular_values_figures.draw_singular_values(curves),
    ('matrix', 'units', 'sigma', 'lag', 'log10_low', 'log10_median')
    + ('log10_high',),
    rows,
  )


def draw_belt(study: subjects.Study, lstm: subjects.Subject) -> picture.Drawn:
  """Draw what each step has put into one unit, and how long it stays."""
  seen = picture.look(study, lstm, SEQUENCES)
  trace = seen.trace
  assert trace.c is not None and trace.candidate is not None
  unit = int(picture.order(seen, trace.c)[0])
  sequence = picture.settled(seen)
  forget, enter, candidate, c = (
    np.asarray(values[sequence, :, unit], float)
    for values in (
      trace.gates['f'],
      trace.gates['i'],
      trace.candidate,
      trace.c,
    )
  )
  belt = carry(forget, enter * candidate)
  marks = picture.marked(seen, sequence)
  from_marks = [np.nan_to_num(belt.parts[s]) for s in marks]
  rest = c - np.sum(from_marks, axis=0)
  value = np.asarray(seen.batch.inputs)[sequence, :, 0]
  rows = list(
    zip(
      *(range(len(c)), value, (int(t in marks) for t in range(len(c)))),
      forget,
      belt.put,
      c,
      *from_marks,
      rest,
      strict=True,
    )
  )
  columns = (
    'step',
    'value',
    'marked',
    'forget_gate',
    'put_in',
    'cell_state',
    *(f'from_mark_{n + 1}' for n in range(len(marks))),
    'from_other_steps',
  )
  figure = products_figures.draw_belt(
    f'{seen.words}, unit {unit}', value, marks, forget, belt, c
  )
  return picture.Drawn(figure, columns, rows)
