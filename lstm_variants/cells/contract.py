"""What a cell is, and what follows from its step where it says no more."""

from collections.abc import Callable, Mapping
import dataclasses
import functools
from typing import Any, NamedTuple

import jax
from jax import lax
import jax.numpy as jnp

from lstm_variants import arguments, errors
from lstm_variants.cells import products, stacks
from lstm_variants.cells import unroll as unroll_lib

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
    smallest: valid value; None for a switch.
    largest: valid value, an integer as `smallest` is if the setting is one;
      None for a switch.
    meaning: one phrase.
  """

  smallest: float | None
  largest: float | None
  meaning: str

  @property
  def kind(self) -> type:
    """The type of its values: bool, int or float."""
    if self.smallest is None:
      return bool
    ends = (self.smallest, self.largest)
    return float if any(isinstance(end, float) for end in ends) else int


class Init(NamedTuple):
  """How parameters begin: what every `Cell.init` is given beside its sizes.

  A cell reads what it has a use for, and says in `Cell.keeps` and
  `Cell.initial` what it does not.

  Attributes:
    forget_bias: of the gate that keeps the state, which starts near
      σ(forget_bias); may be traced.
    chrono_t_max: the longest dependency T_max in steps of the chrono
      initialisation, which replaces the forget bias by log U[1, T_max − 1]
      (Tallec & Ollivier, ICLR 2018, arXiv:1804.11188); 0 for the constant; may
      be traced.
    recurrent_init: a name from `initializers.RECURRENT`.
    dtype: of every leaf.
  """

  forget_bias: float | jax.Array = 1.0
  chrono_t_max: float | jax.Array = 0.0
  recurrent_init: str = 'orthogonal'
  dtype: jnp.dtype = jnp.float32


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Cell:
  """A recurrence: one time step, and all that follows from it.

      params       = init(key, F, H, settings, options)
      carry_0      = init_carry(settings, batch_shape, H, dtype)
      carry_t, h_t = step(params, settings, carry_{t-1}, x_t)

  x is `[..., F]` and h `[..., H]`; the carry is any pytree of `[..., …]`, the
  dots being the axes of the batch; the parameters are any pytree of `dtype`.
  These three are all that a cell owes; what else a cell is able to do it says
  in the other fields. Two cells are equal only if they are the same object.

  For instance, a leaky unit h' = 0.9 h + 0.1 tanh(x W + b):

      def init(key, in_features, hidden_features, settings, options):
        shape = (in_features, hidden_features)
        return {
          'kernel': jax.random.normal(key, shape, options.dtype),
          'bias': jnp.zeros(hidden_features, options.dtype),
        }

      def init_carry(settings, batch_shape, hidden_features, dtype):
        return jnp.zeros((*batch_shape, hidden_features), dtype)

      def step(params, settings, h, x):
        h = 0.9 * h + 0.1 * jnp.tanh(x @ params['kernel'] + params['bias'])
        return h, h

      lv.register_cell(
        'leaky', lv.Cell(init=init, init_carry=init_carry, step=step)
      )

  A carry that is a NamedTuple with the field h, which `step` returns as the
  hidden state too, has more: zoneout, a learned beginning, evidence.

  Attributes:
    init: `(key, in_features, hidden_features, settings, options) -> params`,
      `options` an `Init`; `init_params` has keywords in their place.
    init_carry: `(settings, batch_shape, hidden_features, dtype) -> carry`, the
      state before the first step.
    step: `(params, settings, carry, inputs) -> (carry, hidden)`.
    summary: what it is, one line.
    reference: author, year and where.
    settings: what the user may choose, a NamedTuple of Python values, its
      defaults; static. None if there is nothing. Of a `toggled` cell they are
      the toggles instead.
    ranges: of each of its settings.
    check: `(settings, hidden_features) -> None`, raises `SettingError` where
      they contradict each other.
    keeps: some gate keeps the state, and so has the forget bias.
    initial: where the cell's own beginning leaves nothing to `recurrent_init`,
      what that is; '' where it does.
    project: `(params, settings, inputs) -> projected`, what of a step does not
      depend on the carry: made for all the steps at once. Given with `advance`.
    advance: `(params, settings, carry, projected) -> (carry, hidden)`, the rest
      of the step.
    scan: what `unroll` runs, with its arguments; None: the steps in turn, with
      JAX's own gradient.
    count: `(settings, in_features, hidden_features) -> int`, the parameters in
      use; None: all that `init` makes.
    size: `params -> H`; None: it follows from the shapes that `init` makes.
    gates: `(params, settings, carry, inputs) -> Gates` of the step from that
      carry; None where there are none.
    with_remedies: `(params, settings, carry, inputs, gains, keep) -> (carry,
      hidden)`, its step with layer normalisation and recurrent dropout; gains
      and keep may be None, and are then left out. See `remedies`.
    gains: the `remedies.Form` of layer normalisation; None: it is refused.
    drops: its candidate may be dropped (recurrent dropout).
    states: of the fields c and h of its carry, `[..., H]`, those of which a
      share may stay as it was (zoneout) and which may begin with learned
      values; with h, which is then what `step` returns. Empty where no step
      reads them. None: see `zones`.
    counters: fields of its carry that count steps: no state, nothing is
      differentiated by them.
    penalised: its whole state is made by one step alone, so that the penalty on
      its gradients is offered (see `models.penalty`).
    fused: it has a gradient of its own, which keeps little of each step: that
      of its `scan`, or without one that of `products`. Then `advance`, or
      `step` where there is none, makes its products by a fifth argument,
      `product=products.product`, and the carry is a NamedTuple of floats whose
      h is what `step` returns.
    operator: the recurrent operator of ONNX that computes it, with its
      activation: 'LSTM', 'diagonal LSTM', 'GRU', 'RNN Tanh' or 'RNN Relu'; ''
      where none does.
    toggled: its settings are the toggles of the LSTM.
    diagonal: a unit's state does not depend on the other units' (`newton`).
  """

  init: Callable[..., Any]
  init_carry: Callable[..., Any]
  step: Callable[..., tuple[Any, jax.Array]]
  summary: str = 'a cell from outside'
  reference: str = 'no reference given'
  settings: Any = None
  ranges: Mapping[str, Range] = dataclasses.field(default_factory=dict)
  check: Callable[[Any, int], None] = lambda settings, hidden_features: None
  keeps: bool = False
  initial: str = ''
  project: Project | None = None
  advance: Advance | None = None
  scan: Callable[..., tuple[Any, jax.Array]] | None = None
  count: Callable[[Any, int, int], int] | None = None
  size: Callable[[Any], int] | None = None
  gates: Callable[..., Gates] | None = None
  with_remedies: Callable[..., tuple[Any, jax.Array]] | None = None
  gains: Any = None
  drops: bool = False
  states: tuple[str, ...] | None = None
  counters: tuple[str, ...] = ()
  penalised: bool = False
  fused: bool = False
  operator: str = ''
  toggled: bool = False
  diagonal: bool = False

  @property
  def zones(self) -> tuple[str, ...]:
    """The `states`; where they were not given, those that its step shows."""
    return self.shown if self.states is None else self.states

  @functools.cached_property
  def shown(self) -> tuple[str, ...]:
    """The states that its step shows.

    These are c and h where the carry is a NamedTuple with such fields and its h
    is the very array that `step` returns.
    """
    return self.states or _find_states(self)

  def init_params(
    self,
    key: jax.Array,
    in_features: int,
    hidden_features: int,
    settings: Any = None,
    **options: Any,
  ) -> Any:
    """Draw the parameters; `options` are the fields of `Init`.

    Args:
      key: a PRNG key.
      in_features: F.
      hidden_features: H.
      settings: of the cell; None for the default ones.
      **options: those that are not the defaults of `Init`.
    """
    settings = self.settings if settings is None else settings
    return self.init(
      key, in_features, hidden_features, settings, Init(**options)
    )

  def unroll(
    self,
    params: Any,
    settings: Any,
    inputs: jax.Array,
    carry: Any = None,
    *,
    mask: jax.Array | None = None,
    time_major: bool = False,
    gradient: unroll_lib.Gradient = 'fused',
  ) -> tuple[Any, jax.Array]:
    """Run the cell over a batch of sequences; see `lstm.unroll`.

    At a step that is left out the carry and the hidden state are those of the
    step before; a hidden state before the first step that is no part of the
    carry is 0.

    Args:
      params: from `init`.
      settings: of the cell.
      inputs: `[batch, time, F]`.
      carry: the state before the first step; that of `init_carry` if None.
      mask: None, or boolean `[batch, time]`, False for steps left out.
      time_major: inputs, mask and hidden states are `[time, batch, ...]`.
      gradient: see `unroll.scan`; of a cell that has one of its own.

    Returns:
      The carry after the last step and the hidden states `[batch, time, H]`.

    Raises:
      ValueError: an unknown `gradient`.
      AssertionError: shapes that do not fit, a mask that is not boolean.
    """
    run = functools.partial(_scan, self) if self.scan is None else self.scan
    return run(
      *(params, settings, inputs, carry),
      mask=mask,
      time_major=time_major,
      gradient=gradient,
    )

  def count_params(
    self, settings: Any, in_features: int, hidden_features: int
  ) -> int:
    """Count the parameters in use."""
    if self.count is not None:
      return self.count(settings, in_features, hidden_features)
    shapes = shapes_of(self.init, settings, in_features, hidden_features)
    return sum(leaf.size for leaf in jax.tree.leaves(shapes))

  def size_of(self, params: Any, in_features: int) -> int:
    """Return H of parameters for inputs of F features.

    Raises:
      ValueError: no H was found for which `init` makes such shapes.
    """
    if self.size is not None:
      return self.size(params)
    return _find_size(self, params, in_features)


class SettingError(errors.Error, ValueError):
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
  kind = known.kind
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


def check_divides(
  setting: str, value: int, hidden_features: int, most: int | None = None
) -> None:
  """Refuse a number that does not divide the units.

  Args:
    setting: its name.
    value: that was given.
    hidden_features: H.
    most: the largest number that is named as the nearest; None: any.

  Raises:
    SettingError: the rule and the nearest valid choice.
  """
  if hidden_features % value:
    fit = [
      n
      for n in range(1, (most or hidden_features) + 1)
      if hidden_features % n == 0
    ]
    nearest = min(fit, key=lambda n: abs(n - value))
    raise SettingError(
      setting,
      value,
      f'must divide hidden_features={hidden_features}; nearest: {nearest}',
    )


def stepwise(
  *,
  project: Project,
  advance: Advance | None = None,
  reveal: Reveal | None = None,
  gates: Callable[..., Gates] | None = None,
  states: tuple[str, ...] = ('h',),
  **rest: Any,
) -> Cell:
  """Return a cell whose step is in two parts, the second of which waits.

  Args:
    project: what of a step does not depend on the carry.
    advance: the rest of the step; the hidden state it returns is that of its
      carry. None: it is what `reveal` does.
    reveal: `advance` that returns the gates, not h; None where there are none.
    gates: in the place of `reveal`, see `Cell.gates`.
    states: see `Cell`.
    **rest: the other fields of `Cell`, but `step`.
  """
  if advance is None:
    assert reveal is not None
    advance = functools.partial(_advance, reveal)
  return Cell(
    step=functools.partial(_step, project, advance),
    project=project,
    advance=advance,
    gates=functools.partial(_gates, project, reveal) if reveal else gates,
    states=states,
    **rest,
  )


@functools.cache
def shapes_of(
  init: Callable[..., Any],
  settings: Any,
  in_features: int,
  hidden_features: int,
) -> Any:
  """Return the shapes and dtypes of what a `Cell.init` makes."""
  # They are those of any initialisation; this one is traced in a moment.
  options = Init(recurrent_init='uniform')
  return jax.eval_shape(
    lambda key: init(key, in_features, hidden_features, settings, options),
    jax.eval_shape(jax.random.key, 0),
  )


def _advance(reveal, params, settings, carry, projected, *product):
  """Advance by one step, of a `reveal`; see `Cell.advance`."""
  carry, _ = reveal(params, settings, carry, projected, *product)
  return carry, carry.h


def _step(project, advance, params, settings, carry, inputs):
  """Advance by one step; see `Cell.step`."""
  params, carry, inputs = jax.tree.map(jnp.asarray, (params, carry, inputs))
  return advance(params, settings, carry, project(params, settings, inputs))


def _gates(project, reveal, params, settings, carry, inputs):
  """Return the gates of one step; see `Cell.gates`."""
  params, carry, inputs = jax.tree.map(jnp.asarray, (params, carry, inputs))
  return reveal(params, settings, carry, project(params, settings, inputs))[1]


def _scan(
  cell: Cell,
  params: Any,
  settings: Any,
  inputs: jax.Array,
  carry: Any,
  *,
  mask: jax.Array | None,
  time_major: bool,
  gradient: unroll_lib.Gradient,
) -> tuple[Any, jax.Array]:
  """Run the steps in turn; see `Cell.unroll`."""
  unroll_lib.check_gradient(gradient)
  params = jax.tree.map(jnp.asarray, params)
  inputs, mask = unroll_lib.time_first(inputs, mask, time_major)
  inputs = unroll_lib.clean(inputs, mask)
  size = cell.size_of(params, inputs.shape[-1])
  carry = start(cell.init_carry, settings, size, params, inputs, carry)
  if cell.fused and gradient == 'fused' and 0 not in inputs.shape:
    step = products.Step(cell.project, cell.advance or cell.step, settings)
    carry, hiddens = products.scan(step, params, carry, inputs, mask)
    return carry, hiddens if time_major else jnp.swapaxes(hiddens, 0, 1)
  if cell.project is None or cell.advance is None:
    advance, projected = cell.step, inputs
  else:
    advance, projected = cell.advance, cell.project(params, settings, inputs)
  step = functools.partial(advance, params, settings)
  run = _scan_named if 'h' in cell.shown else _scan_unnamed
  carry, hiddens = run(step, carry, size, (projected, mask))
  return carry, hiddens if time_major else jnp.swapaxes(hiddens, 0, 1)


def _scan_named(step, carry, size, xs):
  """Run the steps; the carry's own h is the hidden state."""
  del size

  def body(carry, xs):
    projected, mask_t = xs
    new, _ = step(carry, projected)
    carry = stacks.settle(mask_t, new, carry)
    return carry, carry.h

  return lax.scan(body, carry, xs)


def _scan_unnamed(step, carry, size, xs):
  """Run the steps; the hidden state is carried beside a carry of any form."""
  batch, dtype = jax.tree.leaves(xs)[0].shape[1], _dtype(carry, xs)

  def body(before, xs):
    projected, mask_t = xs
    after = step(before[0], projected)
    after = stacks.settle(mask_t, after, before)
    return after, after[1]

  first = carry, jnp.zeros((batch, size), dtype)
  (carry, _), hiddens = lax.scan(body, first, xs)
  return carry, hiddens


def _dtype(*trees: Any) -> jnp.dtype:
  """Return the type of float that the floats of some trees make together."""
  leaves = map(jnp.asarray, jax.tree.leaves(trees))
  floats = (leaf for leaf in leaves if jnp.issubdtype(leaf.dtype, jnp.inexact))
  return jnp.result_type(*floats)


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
    ShapeError: a carry whose shapes are not those of `init_carry`.
  """
  dtype = _dtype(inputs, params, carry)
  zero = init_carry(settings, inputs.shape[1:2], size, dtype)
  if carry is None:
    return zero
  leaves, wanted = jax.tree.leaves(carry), jax.tree.leaves(zero)
  if len(leaves) != len(wanted):
    raise arguments.ShapeError(
      f'carry: has {len(leaves)} arrays, must have {len(wanted)}'
    )
  # What is no float, as a count of steps, stays what it is.
  leaves = [
    jnp.asarray(leaf, like.dtype)
    for leaf, like in zip(leaves, wanted, strict=True)
  ]
  for leaf, like in zip(leaves, wanted, strict=True):
    arguments.shape('carry', leaf.shape, like.shape)
  return jax.tree.unflatten(jax.tree.structure(zero), leaves)


def check_key(key: Any) -> None:
  """Refuse what is no PRNG key, of the new style or the old.

  Raises:
    ArgumentError: it is none.
  """
  try:
    jax.eval_shape(lambda: jax.random.fold_in(key, 0))
  except (TypeError, ValueError) as error:
    raise arguments.ArgumentError(
      f'key: a {type(key).__name__}, must be a PRNG key; nearest: '
      'jax.random.key(0)'
    ) from error


# Batch, F and H at which a cell is looked at.
TRIED = (2, 3, 16)


def _find_states(cell: Cell) -> tuple[str, ...]:
  """Return the fields of the carry that `Cell.shown` names."""
  batch, features, size = TRIED
  params = shapes_of(cell.init, cell.settings, features, size)
  carry = jax.eval_shape(
    lambda: cell.init_carry(cell.settings, (batch,), size, jnp.float32)
  )
  inputs = jax.ShapeDtypeStruct((batch, features), jnp.float32)
  made = jax.make_jaxpr(
    lambda params, carry, inputs: cell.step(
      params, cell.settings, carry, inputs
    )
  )(params, carry, inputs)
  *_, hidden = made.jaxpr.outvars
  paths = jax.tree_util.tree_leaves_with_path(carry)
  names = [getattr(path[0], 'name', '') if path else '' for path, _ in paths]
  fields = dict(zip(names, made.jaxpr.outvars, strict=False))
  shapes = {
    name: leaf.shape for name, (_, leaf) in zip(names, paths, strict=True)
  }
  if fields.get('h') is not hidden:
    return ()
  return tuple(n for n in ('c', 'h') if shapes.get(n) == (batch, size))


def _find_size(cell: Cell, params: Any, in_features: int) -> int:
  """Return H, tried among the divisors of the axes of the parameters."""
  wanted = [leaf.shape for leaf in jax.tree.leaves(params)]
  axes = {axis for shape in wanted for axis in shape}
  sizes = {
    axis // count
    for axis in axes
    for count in range(1, axis + 1)
    if axis % count == 0
  }
  for size in sorted(sizes, reverse=True):
    try:
      shapes = shapes_of(cell.init, cell.settings, in_features, size)
    except (TypeError, ValueError):  # no such size
      continue
    if [leaf.shape for leaf in jax.tree.leaves(shapes)] == wanted:
      return size
  raise arguments.ArgumentError(
    'the hidden size does not follow from the parameters; give Cell(size=…)'
  )
