"""LSTMs from and to other tools, as plain arrays; the ONNX file is `export`.

    torch.nn.LSTM                    from_torch, to_torch
    flax's LSTM cells, also Linen's  from_flax, to_flax
    safetensors files                load, save

docs/bridges.md has examples.
"""

from lstm_variants.bridges.flax_cells import from_flax as from_flax
from lstm_variants.bridges.flax_cells import to_flax as to_flax
from lstm_variants.bridges.torch_layers import from_torch as from_torch
from lstm_variants.bridges.torch_layers import Stack as Stack
from lstm_variants.bridges.torch_layers import to_torch as to_torch
from lstm_variants.bridges.weights import ExportError as ExportError
from lstm_variants.bridges.weights import load as load
from lstm_variants.bridges.weights import save as save
from lstm_variants.bridges.weights import WeightsError as WeightsError
