"""What a cell is, and the scan of one that has no gradient of its own."""

from collections.abc import Callable, Mapping
import functools
import types
from typing import Any, NamedTuple

import chex
import jax
from jax import lax
import jax.numpy as jnp

from lstm_variants.cells import stacks, unroll

# project(params, settings, inputs) -> what the steps need of the inputs, any
# number of leading axes.
Project = Callable[[Any, Any, jax.Array], Any]
# advance(params, settings, carry, projected) -> (carry, hidden).
Advance = Callable[[Any, Any, Any, Any], tuple[Any, jax.Array]]
# reveal(params, settings, carry, projected) -> (carry, Gates).
Reveal = Callable[[Any, Any, Any, Any], tuple[Any, 'Gates']]


class Gates(NamedTuple):
  """What the gates of a cell did in a step, `[..., units]` each.

  Attributes:
    values: name -> gate, from 0 to 1; one that is missing is 1.
    candidate: g, what the gates let into the state.
    keep: the factor of the old state in the new one; the rest of the new one is
      made of what came in at this step.
    state: the new c; None where the state is h.
  """

  values: dict[str, jax.Array]
  candidate: jax.Array
  keep: jax.Array
  state: jax.Array | None = None


class Range(NamedTuple):
  """What a setting of a cell may be.

  Attributes:
    smallest: valid value, an integer if the setting is; None for a switch.
    largest: valid value; None for a switch.
    meaning: one phrase.
  """

  smallest: float | None
  largest: float | None
  meaning: str


class Cell(NamedTuple):
  """A recurrence: one time step, and the scan of it.

  `settings` are the toggles of an LSTM; of another cell `Cell.settings`, or
  those with other values, static; None if it has none.

  Attributes:
    init_params: `(key, in_features, hidden_features, *, toggles, forget_bias,
      chrono_t_max, recurrent_init, dtype) -> params`; `toggles` are the
      settings. The forget bias and chrono go to whatever gate keeps the state.
    init_carry: `(settings, batch_shape, hidden_features, dtype) -> carry`, the
      state before the first step.
    step: `(params, settings, carry, inputs) -> (carry, hidden)`.
    unroll: `(params, settings, inputs, carry=None, *, mask=None,
      time_major=False, gradient='fused') -> (carry, hiddens)`; see
      `lstm.unroll`.
    count_params: `(settings, in_features, hidden_features) -> int`, of those in
      use.
    summary: what it is, one line.
    reference: author, year and where.
    settings: the default ones, a NamedTuple of Python values.
    ranges: of each of its settings.
    check: `(settings, hidden_features) -> None`, raises `SettingError` where
      they contradict each other.
    keeps: some gate keeps the state, and so has the forget bias.
    initial: where the cell's own beginning leaves nothing to `recurrent_init`,
      what that is; '' where it does.
    project: `(params, settings, inputs) -> projected`, what of a step does not
      depend on the carry; of a `stepwise` cell.
    advance: `(params, settings, carry, projected) -> (carry, hidden)`, the
      rest of the step; of a `stepwise` cell.
    size_of: `params -> H`, of a `stepwise` cell.
    gates: `(params, settings, carry, inputs) -> Gates` of the step from that
      carry; None where there are none.
    with_remedies: `(params, settings, carry, inputs, gains, keep) -> (carry,
      hidden)`, its step with layer normalisation and recurrent dropout.
    gains: the `remedies.Form` of layer normalisation; None: it is refused.
    drops: its candidate may be dropped (recurrent dropout).
    zones: its states of which a share may stay as it was (zoneout), and which
      may begin with learned values.
    toggled: its settings are the toggles of the LSTM.
    diagonal: a unit's state does not depend on the other units' (`newton`).
  """

  init_params: Callable[..., Any]
  init_carry: Callable[..., Any]
  step: Callable[..., tuple[Any, jax.Array]]
  unroll: Callable[..., tuple[Any, jax.Array]]
  count_params: Callable[[Any, int, int], int]
  summary: str
  reference: str
  settings: Any = None
  ranges: Mapping[str, Range] = types.MappingProxyType({})
  check: Callable[[Any, int], None] = lambda settings, hidden_features: None
  keeps: bool = True
  initial: str = ''
  project: Any = None
  advance: Any = None
  size_of: Any = None
  gates: Callable[..., Gates] | None = None
  with_remedies: Callable[..., tuple[Any, jax.Array]] | None = None
  gains: Any = None
  drops: bool = False
  zones: tuple[str, ...] = ('h',)
  toggled: bool = False
  diagonal: bool = False


class SettingError(ValueError):
  """A setting of a cell is refused.

  Attributes:
    setting: its name, or 'hidden_features'.
    value: that was given.
    rule: that it breaks, with the nearest valid choice.
  """

  def __init__(self, setting: str, value: Any, rule: str):
    super().__init__(f'{setting}={value!r}: {rule}')
    self.setting, self.value, self.rule = setting, value, rule


def check_range(
  setting: str,
  value: Any,
  known: Range,
  fits: Callable[[Any], bool] = lambda value: True,
) -> None:
  """Refuse a value of another kind, or out of its range.

  Args:
    setting: its name.
    value: that was given.
    known: what it may be.
    fits: whether an integer goes with the other settings; only such a one is
      named as the nearest.

  Raises:
    SettingError: what, the value, the rule, the nearest valid choice.
  """
  if known.smallest is None or known.largest is None:
    if not isinstance(value, bool):
      raise SettingError(setting, value, 'not true or false; nearest: false')
    return
  kind = type(known.smallest)
  if isinstance(value, bool) or not isinstance(value, (int, kind)):
    name = 'an integer' if kind is int else 'a number'
    raise SettingError(setting, value, f'not {name}; nearest: {known.smallest}')
  if not known.smallest <= value <= known.largest:
    nearest = known.largest if value > known.largest else known.smallest
    if kind is int:
      inward = range(int(known.smallest), int(known.largest) + 1)
      ordered = inward[::-1] if value > known.largest else inward
      nearest = next(filter(fits, ordered), nearest)
    raise SettingError(
      setting,
      value,
      f'{known.meaning}: must be {known.smallest:g} to {known.largest:g}; '
      f'nearest: {nearest:g}',
    )


def stepwise(
  *,
  init_carry: Callable[..., Any],
  project: Project,
  advance: Advance,
  size_of: Callable[[Any], int],
  reveal: Reveal | None = None,
  **rest: Any,
) -> Cell:
  """Return a cell whose steps are run by `lax.scan`, with JAX's own gradient.

  Args:
    init_carry: see `Cell`; a NamedTuple whose field `h`, `[..., H]`, is the
      hidden state.
    project: what of a step does not depend on the carry; made for all the steps
      at once.
    advance: the rest of the step; the hidden state it returns is that of its
      carry.
    size_of: `params -> H`.
    reveal: `advance` that returns the gates, not h; None where there are none.
    **rest: the other fields of `Cell`, but `step`, `unroll` and `gates`.
  """
  gates = reveal and functools.partial(_gates, project, reveal)
  return Cell(
    init_carry=init_carry,
    step=functools.partial(_step, project, advance),
    unroll=functools.partial(_unroll, init_carry, project, advance, size_of),
    project=project,
    advance=advance,
    size_of=size_of,
    gates=gates,
    **rest,
  )


def _step(project, advance, params, settings, carry, inputs):
  """Advance by one step; see `Cell.step`."""
  params, carry, inputs = jax.tree.map(jnp.asarray, (params, carry, inputs))
  return advance(params, settings, carry, project(params, settings, inputs))


def _gates(project, reveal, params, settings, carry, inputs):
  """Return the gates of one step; see `Cell.gates`."""
  params, carry, inputs = jax.tree.map(jnp.asarray, (params, carry, inputs))
  return reveal(params, settings, carry, project(params, settings, inputs))[1]


def _unroll(
  init_carry: Callable[..., Any],
  project: Project,
  advance: Advance,
  size_of: Callable[[Any], int],
  params: Any,
  settings: Any,
  inputs: jax.Array,
  carry: Any = None,
  *,
  mask: jax.Array | None = None,
  time_major: bool = False,
  gradient: unroll.Gradient = 'fused',
) -> tuple[Any, jax.Array]:
  """Run over `[batch, time, F]`; see `Cell.unroll`."""
  unroll.check_gradient(gradient)
  params = jax.tree.map(jnp.asarray, params)
  inputs, mask = unroll.time_first(inputs, mask, time_major)
  inputs = unroll.clean(inputs, mask)
  carry = start(init_carry, settings, size_of(params), params, inputs, carry)

  def body(carry, xs):
    projected, mask_t = xs
    new, _ = advance(params, settings, carry, projected)
    new = jax.tree.map(lambda n, o: n.astype(o.dtype), new, carry)
    carry = stacks.hold(mask_t, new, carry)
    return carry, carry.h

  projected = project(params, settings, inputs)
  carry, hiddens = lax.scan(body, carry, (projected, mask))
  return carry, hiddens if time_major else jnp.swapaxes(hiddens, 0, 1)


def start(
  init_carry: Callable[..., Any],
  settings: Any,
  size: int,
  params: Any,
  inputs: jax.Array,
  carry: Any,
) -> Any:
  """Return the carry before the first step, of the dtype of the scan.

  Args:
    init_carry: see `Cell`.
    settings: of the cell.
    size: H.
    params: of the cell.
    inputs: `[time, batch, F]`.
    carry: None for that of `init_carry`.

  Raises:
    AssertionError: a carry whose shapes are not those of `init_carry`.
  """
  dtype = jnp.result_type(inputs, *jax.tree.leaves((params, carry)))
  zero = init_carry(settings, inputs.shape[1:2], size, dtype)
  if carry is None:
    return zero
  leaves, wanted = jax.tree.leaves(carry), jax.tree.leaves(zero)
  chex.assert_equal(len(leaves), len(wanted))
  leaves = [jnp.asarray(leaf, dtype) for leaf in leaves]
  chex.assert_trees_all_equal_shapes(leaves, wanted)
  return jax.tree.unflatten(jax.tree.structure(zero), leaves)
