"""Settings of the LSTM, random cases, and the programs that run them.

One compiled program with traced toggles serves every setting.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import lstm_variants as lv
from tests import reference_lstm

FEATURES, HIDDEN, TIME, BATCH = 2, 3, 5, 2
RANDOM = 160
LEAVES = {
  'kernel': (FEATURES, 4 * HIDDEN),
  'recurrent_kernel': (HIDDEN, 4 * HIDDEN),
  'bias': (4 * HIDDEN,),
  'peephole': (3, HIDDEN),
  'gate_kernel': (3 * HIDDEN, 3 * HIDDEN),
}


class Case(NamedTuple):
  """What a cell is given, and the weights of the loss on what it returns.

  Attributes:
    params: of the cell.
    inputs: `[batch, time, F]`.
    carry: c, h `[batch, H]` and gates `[batch, 3H]`.
    on_hiddens: `[batch, time, H]`.
    on_carry: as `carry`, of the carry after the last step.
  """

  params: lv.Params
  inputs: Any
  carry: Any
  on_hiddens: Any
  on_carry: Any


def random_toggles(rng: np.random.Generator) -> lv.Toggles:
  """Return one of all the settings without a contradiction."""

  def coin(likely: float = 0.5) -> bool:
    return bool(rng.random() < likely)

  input_gate, forget_gate, output_gate = (coin(0.75) for _ in range(3))
  coupled = input_gate and forget_gate and coin()
  return lv.Toggles(
    input_gate=input_gate,
    forget_gate=forget_gate,
    output_gate=output_gate,
    peephole_i=input_gate and coin(),
    peephole_f=forget_gate and not coupled and coin(),
    peephole_o=output_gate and coin(),
    coupled=coupled,
    coupling_shift=float(rng.normal()) if coupled and coin(0.7) else 0.0,
    input_activation=coin(),
    output_activation=coin(),
    gate_recurrence=coin(),
  )


def all_settings() -> list[lv.Toggles]:
  """Return the settings of the variants, then `RANDOM` random ones."""
  rng = np.random.default_rng(7)
  variants = [variant.toggles for variant in lv.VARIANTS.values()]
  return variants + [random_toggles(rng) for _ in range(RANDOM)]


def random_case(seed: int, gates: bool) -> Case:
  """Draw a case in which nothing is zero but the gates, if not `gates`."""
  rng = np.random.default_rng(seed)
  sizes = (HIDDEN, HIDDEN, 3 * HIDDEN)
  carry = tuple(rng.normal(0, 0.7, (BATCH, size)) for size in sizes)
  on_carry = tuple(rng.normal(0, 1.0, (BATCH, size)) for size in sizes)
  if not gates:
    carry = (*carry[:2], np.zeros_like(carry[2]))
    on_carry = (*on_carry[:2], np.zeros_like(on_carry[2]))
  leaves: Any = {
    name: rng.normal(0, 0.5, shape) for name, shape in LEAVES.items()
  }
  return Case(
    lv.Params(**leaves),
    rng.normal(0, 1.0, (BATCH, TIME, FEATURES)),
    carry,
    rng.normal(0, 1.0, (BATCH, TIME, HIDDEN)),
    on_carry,
  )


def run_reference(
  toggles: lv.Toggles, params: Any, inputs: Any, carry: Any
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray]]:
  """Return the hidden states `[batch, time, H]` and the last (c, h, gates)."""
  weights = reference_lstm.take_apart(*params, on=toggles._asdict())
  results = [
    reference_lstm.sequence(weights, toggles._asdict(), *sequence)
    for sequence in zip(inputs, *carry, strict=True)
  ]
  gates = [np.concatenate([r.gates[k] for k in 'ifo']) for r in results]
  hiddens = np.stack([r.hiddens for r in results])
  last = [np.stack([r.c for r in results]), np.stack([r.h for r in results])]
  return hiddens, (last[0], last[1], np.stack(gates))


def reference_loss(
  toggles: lv.Toggles, case: Case, params: Any, inputs: Any, carry: Any
) -> Any:
  """Return the loss whose gradient the tests compare."""
  hiddens, last = run_reference(toggles, params, inputs, carry)
  terms = [np.sum(case.on_hiddens * hiddens)]
  terms += [np.sum(u * v) for u, v in zip(case.on_carry, last, strict=True)]
  return sum(terms)


def stack_toggles(settings: list[lv.Toggles]) -> lv.Toggles:
  """Return toggles whose leaves are arrays with a leading axis of settings."""
  return lv.Toggles(*(np.array(leaf) for leaf in zip(*settings, strict=True)))  # pyrefly: ignore[bad-argument-type]


def stack_cases(cases: list[Case]) -> Case:
  """Return one case whose leaves have a leading axis."""
  return jax.tree.map(lambda *leaves: np.stack(leaves), *cases)


def loss(
  params: Any, toggles: Any, inputs: Any, carry: Any, weights: Any
) -> tuple[jax.Array, tuple[jax.Array, lv.Carry]]:
  """Return the loss of `reference_loss`, the hidden states and last carry."""
  last, hiddens = lv.unroll(params, toggles, inputs, lv.Carry(*carry))
  on_hiddens, on_carry = weights
  terms = [jnp.sum(on_hiddens * hiddens)]
  terms += [jnp.sum(u * v) for u, v in zip(on_carry, last, strict=False)]
  return sum(terms[1:], terms[0]), (hiddens, last)


_traced = jax.jit(
  jax.vmap(jax.value_and_grad(loss, argnums=(0, 2, 3), has_aux=True))
)


class Run(NamedTuple):
  """What a program made of a case, as NumPy arrays."""

  loss: np.ndarray
  hiddens: np.ndarray
  carry: Any
  gradient: tuple[lv.Params, np.ndarray, Any]


def _finish(outputs) -> Run:
  (value, (hiddens, last)), gradient = jax.tree.map(np.asarray, outputs)
  return Run(value, hiddens, last, gradient)


def run_traced(settings: list[lv.Toggles], case: Case) -> Run:
  """Run stacked cases, each with its own toggles, as one traced program."""
  weights = (case.on_hiddens, case.on_carry)
  toggles = stack_toggles(settings)
  return _finish(
    _traced(case.params, toggles, case.inputs, case.carry, weights)
  )


@functools.cache
def all_cases() -> tuple[list[lv.Toggles], list[Case]]:
  """Return every setting and a random case for each."""
  settings = all_settings()
  recurrent = [bool(toggles.gate_recurrence) for toggles in settings]
  return settings, [random_case(n, gates) for n, gates in enumerate(recurrent)]


@functools.cache
def all_runs(double: bool) -> Run:
  """Run every setting on its case, in double or single precision."""
  settings, cases = all_cases()
  with jax.enable_x64(double):
    return run_traced(settings, stack_cases(cases))


def pick(tree: Any, index: int) -> Any:
  """Return one entry of the leading axis of every leaf."""
  return jax.tree.map(lambda leaf: leaf[index], tree)
