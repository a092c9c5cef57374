"""Every field of a run, with its default; the other configs change a few."""

from ml_collections import config_dict


def get_config() -> config_dict.ConfigDict:
  """Return the default config: a vanilla LSTM on the adding problem."""
  config = config_dict.ConfigDict()

  # Fixes the initial weights and the training data: runs with equal seeds are
  # paired across variants. 0 … 2^32 − 1.
  config.seed = 0

  config.task = config_dict.ConfigDict()
  # docs/tasks.md lists them; `python -m experiments.show --task=adding` draws.
  config.task.name = 'adding'
  # Whose version (docs/tasks.md); '' is the first of the task's dialects.
  config.task.dialect = ''
  # T as the dialect's paper counts it, in steps; 0: the usual one, mostly 100.
  config.task.length = 0
  # T of each batch is drawn from U{shortest_length, …, length}. 0: as in the
  # paper, which mostly has T = length.
  config.task.shortest_length = 0
  # T of the held-out set, likewise; 0: as in training. Of a task that draws T,
  # a longer one is judged from the first T on that was never seen.
  config.task.evaluation_length = 0
  config.task.evaluation_shortest_length = 0
  # What some dialects leave open (docs/tasks.md); 0 or '': the paper's.
  # Symbols in the alphabet.
  config.task.symbols = 0
  # Things to remember.
  config.task.items = 0
  # F of the timing tasks, in steps.
  config.task.period = 0
  # How far ahead is forecast, in steps.
  config.task.horizon = 0
  # A file or directory with data, and the column of a CSV file.
  config.task.path = ''
  config.task.column = ''

  config.model = config_dict.ConfigDict()
  # A variant of the LSTM, or another cell (docs/variants.md).
  config.model.variant = 'vanilla'
  # Toggles set on top of an LSTM variant; unset ones are the variant's.
  config.model.toggles = config_dict.ConfigDict()
  for toggle in (
    'input_gate',
    'forget_gate',
    'output_gate',
    'peephole_i',
    'peephole_f',
    'peephole_o',
    'coupled',
    'input_activation',
    'output_activation',
    'gate_recurrence',
  ):
    config.model.toggles[toggle] = config_dict.placeholder(bool)
  # β of JANET; needs coupled.
  config.model.toggles.coupling_shift = config_dict.placeholder(float)
  # full, or diagonal: the units of an LSTM's layer do not see each other.
  config.model.recurrence = 'full'
  # Settings of the other cells; unset ones are the cell's (docs/variants.md).
  config.model.cell = config_dict.ConfigDict()
  # lstm_1997: memory cells that share their gates; whether cells and gates have
  # biases; whether the gradient is cut off as in the paper.
  config.model.cell.block_size = config_dict.placeholder(int)
  config.model.cell.cell_bias = config_dict.placeholder(bool)
  config.model.cell.gate_bias = config_dict.placeholder(bool)
  config.model.cell.truncated_gradient = config_dict.placeholder(bool)
  # lstmp: memory cells for each hidden unit, to which they are projected.
  config.model.cell.memory_ratio = config_dict.placeholder(int)
  # clockwork: groups of units; group n steps every 2^n steps.
  config.model.cell.groups = config_dict.placeholder(int)
  # depth_gated: layers, linked by their cell states.
  config.model.cell.depth = config_dict.placeholder(int)
  # echo_state: of its fixed matrix; share of the new state; of its inputs.
  config.model.cell.spectral_radius = config_dict.placeholder(float)
  config.model.cell.leak = config_dict.placeholder(float)
  config.model.cell.input_scale = config_dict.placeholder(float)
  # slstm: blocks of the recurrent matrices; f = exp instead of σ.
  config.model.cell.heads = config_dict.placeholder(int)
  config.model.cell.exponential_forget = config_dict.placeholder(bool)
  # indrnn: the largest |recurrent weight|.
  config.model.cell.recurrent_limit = config_dict.placeholder(float)
  # mingru, minlstm: the candidate is positive, as in the form in log space.
  config.model.cell.positive_candidate = config_dict.placeholder(bool)
  # Width of every recurrent layer.
  config.model.hidden_features = 32
  # Recurrent layers below the linear readout.
  config.model.num_layers = 1
  # The forget gate of an LSTM starts near σ(forget_bias).
  config.model.forget_bias = 1.0
  # T_max of the chrono initialisation of an LSTM in steps, at least 3; it
  # replaces the forget bias. 0: off.
  config.model.chrono_t_max = 0.0
  # orthogonal (per gate; LeCun-normal input weights) or uniform (±1/√H).
  # Peepholes and gate_kernel are uniform in both.
  config.model.recurrent_init = 'orthogonal'
  # Layer normalisation (Ba et al. 2016) of simple_rnn, gru and full LSTMs.
  config.model.layer_norm = False
  # The share of cell states, and of hidden states, that stay as they were
  # (zoneout, Krueger et al. 2017); 0: off.
  config.model.zoneout_c = 0.0
  config.model.zoneout_h = 0.0
  # The share of candidates g left out (Semeniuta et al. 2016); 0: off.
  config.model.recurrent_dropout = 0.0
  # The state before the first step is learned, from zero on.
  config.model.learned_carry = False
  # What a layer above the first gets is added to what it puts out.
  config.model.residual = False
  # Each layer has a second cell that goes from the last step to the first.
  config.model.bidirectional = False
  # float32, float64, or bfloat16 (computation only; parameters stay float32).
  config.model.dtype = 'float32'

  config.optimizer = config_dict.ConfigDict()
  # adam, rmsprop, sgd.
  config.optimizer.name = 'adam'
  config.optimizer.learning_rate = 1e-3
  # Of sgd and rmsprop; 0: off. Refused with adam.
  config.optimizer.momentum = 0.0
  # Whether sgd's momentum is Nesterov's. Refused elsewhere.
  config.optimizer.nesterov = False
  # Decay of adam's first moment; the others have none.
  config.optimizer.b1 = 0.9
  # Decay of the second moment, of adam and of rmsprop; sgd has none.
  config.optimizer.b2 = 0.999
  # Added to the denominator, of adam and rmsprop; sgd has none.
  config.optimizer.eps = 1e-8
  # The gradient is scaled down to this global norm; inf: off.
  config.optimizer.clip_norm = 1.0
  # Each of its components is then cut to ± this; inf: off.
  config.optimizer.clip_value = float('inf')

  # α of the penalty αΩ on gradients that shrink or grow from step to step
  # (Pascanu et al. 2013), of simple_rnn, irnn, gru and LSTMs; 0: off.
  config.optimizer.gradient_penalty = 0.0

  config.training = config_dict.ConfigDict()
  # Sequences per update.
  config.training.batch_size = 32
  # Updates at most.
  config.training.updates = 2000
  # Updates per compiled call, each followed by an evaluation.
  config.training.evaluation_interval = 100
  # Batches in the held-out set.
  config.training.evaluation_batches = 32
  # Of the held-out set, which is the same for every run.
  config.training.evaluation_seed = 0
  # What the gradient keeps of a sequence. none: every step. sqrt: √T states;
  # the steps between are computed again (docs/performance.md has the times).
  # auto: sqrt where none would keep more than 1 GiB for one run.
  config.training.remat = 'auto'
  # Runs that one device computes side by side. 0: one on a CPU, where a run
  # with the caches to itself is the fastest; all on an accelerator.
  config.training.lanes = 0
  # Devices that share the sequences of each batch of a run: more than 1 make a
  # run alone faster, and its sums end in other roundings. Divides batch_size.
  config.training.batch_devices = 1
  # Standard deviation of Gaussian noise that is added to the inputs in training
  # (Greff et al. 2017); 0: off.
  config.training.input_noise = 0.0
  # Stop once every run of the population has met the task's success criterion.
  config.training.stop_when_solved = True
  # A checkpoint is saved after the first evaluation that is this many updates
  # (0: no matter how many) after the last checkpoint,
  config.training.save_interval = 1000
  # or this many minutes (0: no matter how many); and at the end.
  config.training.save_minutes = 5.0
  # Checkpoints kept; older ones serve where the newest is damaged.
  config.training.keep_checkpoints = 2
  # Write TensorBoard event files too; needs the extra `tensorboard`.
  config.training.tensorboard = False
  return config
