"""The cell and the models as flax.nnx modules: what users build with."""

from typing import Any

from flax import nnx
import jax
import jax.numpy as jnp

from lstm_variants import arguments, cells, models
from lstm_variants.cells import contract, lstm, remedies, unroll
from lstm_variants.cells.variants import check_static, find_toggles


def find_settings(name: str, settings: Any, hidden_features: int) -> Any:
  """Return the checked settings of a cell, given them, a variant or None.

  Raises:
    ArgumentError: settings that the cell does not have, that contradict each
      other, or toggles that are arrays: those of a module are static.
  """
  cell = cells.CELLS[name]
  if cell.toggled:
    return _find_static(settings)
  if settings is None:
    return cell.settings
  cells.check_settings(name, settings, hidden_features)
  return settings


def _toggles_of(cell: str, toggles: Any) -> lstm.Toggles | None:
  """Return the toggles of a model of some cell, None where it has none."""
  if cells.CELLS[cell].toggled:
    return _find_static(toggles)
  if toggles is not None:
    raise arguments.ArgumentError(
      f'cell {cell!r} has no toggles; leave them out'
    )
  return None


def _check_rngs(rngs: Any) -> None:
  """Refuse what has no stream that gives a key for the parameters."""
  if not callable(getattr(rngs, 'params', None)):
    raise arguments.ArgumentError(
      f'rngs: a {type(rngs).__name__}, must be nnx.Rngs; nearest: nnx.Rngs(0)'
    )


def _find_static(toggles: Any) -> lstm.Toggles:
  toggles = find_toggles('vanilla' if toggles is None else toggles)
  check_static(toggles)
  return toggles


class RNNCell(nnx.RNNCellBase):
  """Any registered cell as a flax cell: use it where `nnx.GRUCell` stands.

      rnn = nnx.RNN(lv.RNNCell('gru', 2, 32, rngs=nnx.Rngs(0)))
      hiddens = rnn(inputs)      # [batch, time, 2] -> [batch, time, 32]

  The carry is that of the cell. Of the LSTM, `LSTMCell` has the parameters as
  attributes of their own.
  """

  def __init__(
    self,
    name: str,
    in_features: int,
    hidden_features: int,
    *,
    settings: Any = None,
    forget_bias: float = 1.0,
    chrono_t_max: float = 0.0,
    recurrent_init: str = 'orthogonal',
    dtype: jnp.dtype | None = None,
    param_dtype: jnp.dtype = jnp.float32,
    rngs: nnx.Rngs,
  ):
    """Draw the parameters.

    Args:
      name: of a cell in `lv.CELLS`.
      in_features: F.
      hidden_features: H.
      settings: of the cell, None for the default ones; of an LSTM static
        `Toggles` or the name of a variant.
      forget_bias: see `contract.Init`.
      chrono_t_max: see `contract.Init`.
      recurrent_init: a name from `initializers.RECURRENT`.
      dtype: of the computation; None is that of parameters and inputs.
      param_dtype: of the parameters.
      rngs: its `params` stream gives the key.

    Raises:
      ValueError: an unknown name, settings that the cell does not have or that
        contradict each other.
    """
    _check_rngs(rngs)
    self.cell = cells.find(name)
    arguments.integer('in_features', in_features)
    arguments.integer('hidden_features', hidden_features)
    self.in_features = in_features
    self.hidden_features = hidden_features
    self.settings = find_settings(name, settings, hidden_features)
    self.dtype = dtype
    self.param_dtype = param_dtype
    options = contract.Init(
      forget_bias, chrono_t_max, recurrent_init, param_dtype
    )
    self._keep(
      self.cell.init(
        rngs.params(), in_features, hidden_features, self.settings, options
      )
    )

  def _keep(self, params: Any) -> None:
    """Hold the parameters as flax's."""
    self.weights = nnx.data(jax.tree.map(nnx.Param, params))

  @property
  def params(self) -> Any:
    """The parameters as plain arrays, for the `step` and `unroll` of a cell."""
    return jax.tree.map(
      lambda param: param[...],
      self.weights,
      is_leaf=lambda leaf: isinstance(leaf, nnx.Param),
    )

  @property
  def num_feature_axes(self) -> int:
    """Of the inputs and of the hidden state."""
    return 1

  def initialize_carry(
    self,
    input_shape: tuple[int, ...],
    rngs: nnx.Rngs | nnx.RngStream | None = None,
    carry_init: nnx.Initializer | None = None,
  ) -> Any:
    """Return the carry before the first step.

    Args:
      input_shape: `[..., F]`.
      rngs: for `carry_init`: an `Rngs` with a `carry` stream, or a stream.
      carry_init: initialiser of the states c and h; None is the cell's own.

    Returns:
      The carry of the cell; its c and h, where it has them, are `[..., H]`.

    Raises:
      ValueError: `carry_init` without `rngs`, or of a cell whose carry does
        not name its states.
    """
    dtype = self.dtype or self.param_dtype
    shape = (*input_shape[:-1], self.hidden_features)
    carry = self.cell.init_carry(
      self.settings, shape[:-1], self.hidden_features, dtype
    )
    if carry_init is None:
      return carry
    if not self.cell.zones:
      raise arguments.ArgumentError(
        f'carry_init: the carry of this cell ({self.cell.summary}) does not '
        'name its states; leave it out'
      )
    if rngs is None:
      raise arguments.ArgumentError('carry_init needs rngs to draw from')
    stream = rngs.carry if isinstance(rngs, nnx.Rngs) else rngs
    drawn = {n: carry_init(stream(), shape, dtype) for n in self.cell.zones}
    return remedies.replace(carry, **drawn)

  def __call__(self, carry: Any, inputs: jax.Array) -> tuple[Any, jax.Array]:
    """Advance by one step; all dimensions but the last are batch dimensions."""
    operands = (self.params, carry, inputs)
    if self.dtype is not None:
      operands = jax.tree.map(self._as_dtype, operands)
    params, carry, inputs = operands
    return self.cell.step(params, self.settings, carry, inputs)

  def _as_dtype(self, leaf: jax.Array) -> jax.Array:
    floating = jnp.issubdtype(leaf.dtype, jnp.floating)
    return leaf.astype(self.dtype) if floating else leaf


class LSTMCell(RNNCell):
  """Any LSTM variant as a flax cell: use it where `nnx.LSTMCell` stands.

      rnn = nnx.RNN(lv.LSTMCell(2, 32, toggles='peephole', rngs=nnx.Rngs(0)))
      hiddens = rnn(inputs)      # [batch, time, 2] -> [batch, time, 32]

  The carry is the pair (c, h), with gate recurrence (c, h, gates). A parameter
  that the variant has not is None.
  """

  def __init__(
    self,
    in_features: int,
    hidden_features: int,
    *,
    toggles: lstm.Toggles | str = 'vanilla',
    forget_bias: float = 1.0,
    chrono_t_max: float = 0.0,
    recurrent_init: str = 'orthogonal',
    dtype: jnp.dtype | None = None,
    param_dtype: jnp.dtype = jnp.float32,
    rngs: nnx.Rngs,
  ):
    """Draw the parameters; what is not told here is as of `RNNCell`.

    Args:
      in_features: F.
      hidden_features: H.
      toggles: static `Toggles`, or the name of a variant.
      forget_bias: see `lstm.init_params`.
      chrono_t_max: see `lstm.init_params`.
      recurrent_init: a name from `initializers.RECURRENT`.
      dtype: of the computation.
      param_dtype: of the parameters.
      rngs: its `params` stream gives the key.

    Raises:
      ValueError: an unknown name, what is no toggle, contradicting toggles.
    """
    super().__init__(
      *('lstm', in_features, hidden_features),
      settings=toggles,
      forget_bias=forget_bias,
      chrono_t_max=chrono_t_max,
      recurrent_init=recurrent_init,
      dtype=dtype,
      param_dtype=param_dtype,
      rngs=rngs,
    )

  def _keep(self, params: lstm.Params) -> None:
    for name, leaf in params._asdict().items():
      setattr(self, name, None if leaf is None else nnx.Param(leaf))

  @property
  def toggles(self) -> lstm.Toggles:
    """The static toggles."""
    return self.settings

  @property
  def params(self) -> lstm.Params:
    """The parameters as plain arrays, for `lstm.step` and `lstm.unroll`."""
    kept: list[Any] = [getattr(self, name) for name in lstm.Params._fields]
    leaves: list[Any] = [None if p is None else p[...] for p in kept]
    return lstm.Params(*leaves)


class SequenceModel(nnx.Module):
  """A stack of recurrent layers and a linear readout at every step.

  model = lv.SequenceModel(2, 32, 1, toggles='coupled', rngs=nnx.Rngs(0))
  outputs = model(inputs)    # [batch, time, 2] -> [batch, time, 1]
  """

  def __init__(
    self,
    in_features: int,
    hidden_features: int,
    out_features: int,
    *,
    cell: str = 'lstm',
    toggles: lstm.Toggles | str | None = None,
    num_layers: int = 1,
    forget_bias: float = 1.0,
    chrono_t_max: float = 0.0,
    recurrent_init: str = 'orthogonal',
    param_dtype: jnp.dtype = jnp.float32,
    rngs: nnx.Rngs,
    **others: Any,
  ):
    """Draw the parameters.

    Args:
      in_features: of the inputs.
      hidden_features: of every layer.
      out_features: of the readout.
      cell: a name from `cells.CELLS`.
      toggles: of an LSTM: static `Toggles`, or the name of a variant; None is
        vanilla. Another cell has none.
      num_layers: number of recurrent layers.
      forget_bias: see `contract.Init`.
      chrono_t_max: see `contract.Init`.
      recurrent_init: a name from `initializers.RECURRENT`.
      param_dtype: of the parameters.
      rngs: its `params` stream gives the key.
      **others: of the other fields of `models.Architecture`: cell_settings,
        layer_norm, learned_carry, residual, bidirectional, embedding_features,
        direct_connections.

    Raises:
      ValueError: an unknown name; toggles that clash, or are arrays.
    """
    _check_rngs(rngs)
    architecture = models.Architecture(
      cell,
      num_layers,
      in_features,
      hidden_features,
      out_features,
      recurrent_init,
      **others,
    )
    models.check_architecture(architecture)
    self.architecture = architecture
    self.toggles = _toggles_of(cell, toggles)
    params = models.init_model(
      rngs.params(),
      self.architecture,
      self.toggles,
      forget_bias=forget_bias,
      chrono_t_max=chrono_t_max,
      dtype=param_dtype,
    )
    self.weights = nnx.data(jax.tree.map(nnx.Param, params))

  @property
  def params(self) -> dict[str, Any]:
    """The parameters as plain arrays, for `models.apply_model`."""
    return jax.tree.map(
      lambda param: param[...],
      self.weights,
      is_leaf=lambda leaf: isinstance(leaf, nnx.Param),
    )

  def __call__(
    self,
    inputs: jax.Array,
    *,
    mask: jax.Array | None = None,
    segment: int | None = None,
    gradient: unroll.Gradient = 'fused',
  ) -> jax.Array:
    """Map `[batch, time, in_features]` to `[batch, time, out_features]`.

    The keywords are those of `models.apply_model`.
    """
    _, outputs = models.apply_model(
      self.params,
      self.architecture,
      self.toggles,
      inputs,
      mask=mask,
      segment=segment,
      gradient=gradient,
    )
    return outputs
