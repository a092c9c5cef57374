"""The cell and the models as flax.nnx modules: what users build with."""

from typing import Any

from flax import nnx
import jax
import jax.numpy as jnp

from lstm_variants import cells, models
from lstm_variants.cells import lstm, unroll
from lstm_variants.cells.variants import find_toggles


class LSTMCell(nnx.RNNCellBase):
  """Any LSTM variant as a flax cell: use it where `nnx.LSTMCell` stands.

      rnn = nnx.RNN(lv.LSTMCell(2, 32, toggles='peephole', rngs=nnx.Rngs(0)))
      hiddens = rnn(inputs)      # [batch, time, 2] -> [batch, time, 32]

  The carry is the pair (c, h), with gate recurrence (c, h, gates).
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
    """Draw the parameters.

    Args:
      in_features: F.
      hidden_features: H.
      toggles: static `Toggles`, or the name of a variant.
      forget_bias: see `lstm.init_params`.
      chrono_t_max: see `lstm.init_params`.
      recurrent_init: a name from `initializers.RECURRENT`.
      dtype: of the computation; None is that of parameters and inputs.
      param_dtype: of the parameters.
      rngs: its `params` stream gives the key.

    Raises:
      ValueError: an unknown name, what is no toggle, contradicting toggles.
    """
    self.in_features = in_features
    self.hidden_features = hidden_features
    self.toggles = find_toggles(toggles)
    self.dtype = dtype
    self.param_dtype = param_dtype
    params = lstm.init_params(
      rngs.params(),
      in_features,
      hidden_features,
      toggles=self.toggles,
      forget_bias=forget_bias,
      chrono_t_max=chrono_t_max,
      recurrent_init=recurrent_init,
      dtype=param_dtype,
    )
    for name, leaf in params._asdict().items():
      setattr(self, name, None if leaf is None else nnx.Param(leaf))

  @property
  def params(self) -> lstm.Params:
    """The parameters as plain arrays, for `lstm.step` and `lstm.unroll`."""
    leaves = (getattr(self, name) for name in lstm.Params._fields)
    return lstm.Params(*(None if x is None else x[...] for x in leaves))  # pyright: ignore[reportArgumentType]

  @property
  def num_feature_axes(self) -> int:
    """Of the inputs and of the hidden state."""
    return 1

  def initialize_carry(
    self,
    input_shape: tuple[int, ...],
    rngs: nnx.Rngs | nnx.RngStream | None = None,
    carry_init: nnx.Initializer | None = None,
  ) -> lstm.Carry:
    """Return the carry before the first step.

    Args:
      input_shape: `[..., F]`.
      rngs: for `carry_init`: an `Rngs` with a `carry` stream, or a stream.
      carry_init: initialiser of c and h; None is zero.

    Returns:
      A `Carry`, `[..., H]`.

    Raises:
      ValueError: `carry_init` without `rngs`.
    """
    dtype = self.dtype or self.param_dtype
    shape = (*input_shape[:-1], self.hidden_features)
    carry = lstm.init_carry(
      self.toggles, shape[:-1], self.hidden_features, dtype
    )
    if carry_init is None:
      return carry
    if rngs is None:
      raise ValueError('carry_init needs rngs to draw from')
    stream = rngs.carry if isinstance(rngs, nnx.Rngs) else rngs
    c, h = (carry_init(stream(), shape, dtype) for _ in range(2))
    return lstm.Carry(c, h, carry.gates)

  def __call__(
    self, carry: tuple[jax.Array, ...], inputs: jax.Array
  ) -> tuple[lstm.Carry, jax.Array]:
    """Advance by one step; all dimensions but the last are batch dimensions."""
    operands = (self.params, lstm.Carry(*carry), inputs)
    if self.dtype is not None:
      operands = jax.tree.map(lambda x: x.astype(self.dtype), operands)
    params, carry, inputs = operands
    return lstm.step(params, self.toggles, carry, inputs)


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
      forget_bias: see `lstm.init_params`.
      chrono_t_max: see `lstm.init_params`.
      recurrent_init: a name from `initializers.RECURRENT`.
      param_dtype: of the parameters.
      rngs: its `params` stream gives the key.
      **others: of the other fields of `models.Architecture`: cell_settings,
        layer_norm, learned_carry, residual, bidirectional.

    Raises:
      ValueError: an unknown name, contradicting toggles, no place for one.
    """
    self.architecture = models.Architecture(
      cell,
      num_layers,
      in_features,
      hidden_features,
      out_features,
      recurrent_init,
      **others,
    )
    models.check_architecture(self.architecture)
    toggled = cells.CELLS[cell].toggled
    if not toggled and toggles is not None:
      raise ValueError(f'cell {cell!r} has no toggles; leave them out')
    self.toggles = find_toggles(toggles or 'vanilla') if toggled else None
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
