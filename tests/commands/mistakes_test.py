"""What people from Keras, torch and wandb type gets the right neighbour."""

import pytest

GRID = (
  'several values are a grid, a config file with get_hyper for sweep, as '
  'python -m experiments.config --copy=studies/variants'
)
TRAIN = ('train', '--config=adding', '--workdir={dir}/new')
SEARCH = ('search', '--config=studies/search', '--workdir={dir}/new')

# The command line, and what its one line of refusal must hold.
MISTAKES = [
  # Flags of other trainers.
  ((*TRAIN, '--epochs=10'), '--config.training.updates=10'),
  ((*TRAIN, '--batch-size=64'), '--config.training.batch_size=64'),
  ((*TRAIN, '--lr=1e-3'), '--config.optimizer.learning_rate=1e-3'),
  ((*TRAIN, '--hidden_size=128'), '--config.model.hidden_features=128'),
  ((*TRAIN, '--num_layers=2'), '--config.model.num_layers=2'),
  ((*TRAIN, '--dropout=0.5'), '--config.model.dropout=0.5'),
  ((*TRAIN, '--bidirectional'), '--config.model.bidirectional'),
  ((*TRAIN, '--grad_clip=1.0'), '--config.optimizer.clip_norm=1.0'),
  ((*TRAIN, '--scheduler=cosine'), '--config.optimizer.schedule=cosine'),
  ((*TRAIN, '--warmup_steps=100'), '--config.optimizer.warmup_updates=100'),
  ((*TRAIN, '--early_stopping'), '--config.training.patience'),
  ((*TRAIN, '--device=cuda'), 'JAX_PLATFORMS=cuda'),
  # The next flag is not the value of one that has none.
  (
    ('train', '--config=adding', '--gpu', '--workdir={dir}/new'),
    'JAX_PLATFORMS=cuda, before',
  ),
  ((*TRAIN, '--gpu=0'), 'JAX_PLATFORMS=cuda, before'),
  ((*TRAIN, '--use_gpu=0'), 'JAX_PLATFORMS=cpu, before'),
  ((*TRAIN, '--tpu'), 'JAX_PLATFORMS=tpu, before'),
  (
    ('train', '--config=adding', '--config.seed', '--workdir={dir}/new'),
    '--config.seed: needs a value, as --config.seed=VALUE',
  ),
  ((*TRAIN, '--config.seed'), '--config.seed: needs a value'),
  ((*TRAIN, '--precision=bf16'), '--config.model.dtype=bfloat16'),
  ((*TRAIN, '--wandb'), '--config.training.trackers=wandb'),
  ((*TRAIN, '--random_seed=7'), '--config.seed=7'),
  ((*TRAIN, '--output_dir=x'), '--workdir=x'),
  ((*TRAIN, '--profile='), 'nearest: --profile=profile'),
  (('compare', 'runs/w2'), '--workdir: missing; nearest: --workdir=runs/w2'),
  (('show', '--task=adding', '--samples=x'), 'error: --samples=x: '),
  (('config', '--copy'), '--copy: needs a value, as --copy=VALUE'),
  (
    ('analyse', '--workdir=x', '--figure=gats'),
    '--figure=gats: unknown; nearest: --figure=gates; choices: gradient_flow',
  ),
  (('status', '--workdir={dir}/no/study.json'), 'holds no study'),
  # Fields, in the section of another framework or in none.
  ((*TRAIN, '--config.optimizer.lr=0.1'), '--config.optimizer.learning_rate'),
  ((*TRAIN, '--config.training.epochs=9'), '--config.training.updates=9'),
  ((*TRAIN, '--config.training.wandb=1'), '--config.training.trackers=wandb'),
  ((*TRAIN, '--config.warmup=9'), '--config.optimizer.warmup_updates=9'),
  ((*TRAIN, '--config.weight_decay=1'), '--config.optimizer.weight_decay=1'),
  ((*TRAIN, '--config.model.units=8'), '--config.model.hidden_features=8'),
  ((*TRAIN, '--config.task.seq_len=50'), '--config.task.length=50'),
  ((*TRAIN, '--config.model.name=LSTM'), '--config.model.variant=vanilla'),
  # Several values are a grid.
  ((*TRAIN, '--config.model.variant=gru,vanilla'), GRID),
  ((*TRAIN, '--config.optimizer.learning_rate=1e-3,1e-2'), GRID),
  ((*TRAIN, '--config.task.length=10,20'), GRID),
  ((*TRAIN, '--config.seeds=1,2'), GRID),
  # Names of things.
  ((*TRAIN, '--config.model.variant=LSTM'), "nearest: 'vanilla'"),
  (
    (*TRAIN, '--config.model.variant=BiLSTM'),
    "nearest: 'vanilla' with --config.model.bidirectional=true; choices: van",
  ),
  (
    (*TRAIN, '--model=StackedGRU'),
    '--config.model.variant=gru --config.model.num_layers=2',
  ),
  (
    ('train', '--config=bilstm', '--workdir={dir}/new'),
    'model.variant=vanilla --config.model.bidirectional=true',
  ),
  (
    ('train', '--config=deep-gru', '--workdir={dir}/new'),
    'model.variant=gru --config.model.num_layers=2',
  ),
  (
    (*TRAIN, '--model=Bidirectional'),
    'nearest: --config.model.bidirectional=true',
  ),
  (
    (*TRAIN, '--scheduler=warmup'),
    'nearest: --config.optimizer.warmup_updates=100',
  ),
  ((*TRAIN, '--use_gru=true'), '--config.model.variant=gru'),
  ((*TRAIN, '--depth=2'), '--config.model.num_layers=2'),
  ((*TRAIN, '--config.depth=2'), '--config.model.num_layers=2'),
  ((*TRAIN, '--log_dir=x'), '--workdir=x'),
  ((*TRAIN, '--cpu'), 'JAX_PLATFORMS=cpu, before'),
  ((*TRAIN, '--adam_betas=0.9,0.99'), '.b1=0.9 --config.optimizer.b2=0.99'),
  ((*TRAIN, '--repeats=5'), f'nearest: --config.seed; {GRID}'),
  ((*TRAIN, '--config.model.variant=nn.GRU'), "nearest: 'gru'"),
  ((*TRAIN, '--config.model.variant=RNN'), "nearest: 'simple_rnn'"),
  ((*TRAIN, '--config.model.variant=CIFG'), "nearest: 'cifg'"),
  ((*TRAIN, '--config.task.name=mnist'), "nearest: 'sequential_digits'"),
  ((*TRAIN, '--config.optimizer.name=Adam'), "nearest: 'adam'"),
  ((*TRAIN, '--config.model.dtype=fp16'), "nearest: 'bfloat16'"),
  ((*TRAIN, '--config.training.trackers=wand'), "nearest: 'wandb'"),
  # Of trainers with a name for each run, and weights to begin with.
  ((*TRAIN, '--name=first'), '--workdir=first'),
  ((*TRAIN, '--checkpoint=runs/a'), '--from=runs/a'),
  ((*TRAIN, '--load=runs/a'), '--from=runs/a'),
  (
    (*TRAIN, '--wandb_project=mine'),
    'WANDB_PROJECT=mine, before the command',
  ),
  (
    (*TRAIN, '--betas=0.9,0.99'),
    '--config.optimizer.b1=0.9 --config.optimizer.b2=0.99',
  ),
  # Some seeds are a grid too, however they are written.
  ((*TRAIN, '--n_seeds=5'), f'nearest: --config.seed; {GRID}'),
  ((*TRAIN, '--config.seed=1..5'), f'must be an integer; {GRID}'),
  ((*TRAIN, '--config.seed=[0,1,2]'), f'must be an integer; {GRID}'),
  ((*TRAIN, '--config.seed=range(5)'), f'must be an integer; {GRID}'),
  # A task, or a model, in place of a config; a config without a flag.
  (
    ('train', '--config=mnist', '--workdir={dir}/new'),
    'nearest: --config=base --config.task.name=sequential_digits',
  ),
  (
    ('train', '--config=gru', '--workdir={dir}/new'),
    'nearest: --config=base --config.model.variant=gru',
  ),
  (('train', 'copy'), '--config: missing; nearest: --config=copy'),
  (
    ('train', '--config', '--workdir={dir}/new'),
    '--config: needs a value, as --config=adding',
  ),
  # Searches, as Optuna and wandb have them.
  ((*SEARCH, '--n_trials=50'), 'nearest: trials, in get_search of the config'),
  ((*SEARCH, '--count=50'), 'nearest: trials, in get_search of the config'),
  ((*SEARCH, '--method=bayes'), 'nearest: sampler, in get_search'),
  ((*SEARCH, '--direction=maximize'), 'nearest: objective, in get_search'),
  ((*SEARCH, '--pruner=hyperband'), 'nearest: halving, in get_search'),
  ((*SEARCH, '--batch_size=8'), '--config.training.batch_size=8'),
  (('sweep', *SEARCH[1:], '--n_jobs=4'), 'nearest: --workers=4'),
  (('export', '--workdir=x', '--output=a.onnx'), '--out=a.onnx'),
  (('analyse', '--workdir=x', '--plot=gates'), '--figure=gates'),
  (('lstm_variants.__main__', 'tune'), 'lstm_variants search'),
  # Words without dashes, and commands.
  ((*TRAIN, 'lr=0.1'), '--config.optimizer.learning_rate=0.1'),
  (('lstm_variants.__main__', 'fit'), 'lstm_variants train'),
  (('lstm_variants.__main__', 'evaluate'), 'lstm_variants compare'),
  (('list', 'models'), 'nearest: variants'),
  (('show', '--task=mnist'), 'nearest: sequential_digits'),
]


@pytest.mark.parametrize(
  'arguments, neighbour', MISTAKES, ids=lambda value: str(value)[-40:]
)
def test_a_mistake_gets_the_right_neighbour(
  fork, tmp_path, arguments, neighbour
):
  done = fork(*(word.format(dir=tmp_path) for word in arguments))
  assert done['status'] == 2 and not done['stdout'], done
  (line,) = done['stderr'].splitlines()
  assert neighbour in line, line
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
  'flag',
  [
    '--num_workers=4',
    '--config.training.shuffle=1',
    '--verbose=2',
    '--compile',
    '--count=5',
    '--config.model.bias=true',
    '--use_gru=false',
    '--config.model.x64=false',
  ],
)
def test_what_has_no_counterpart_gets_no_neighbour(fork, tmp_path, flag):
  done = fork('train', '--config=adding', f'--workdir={tmp_path}/new', flag)
  assert done['status'] == 2 and not done['stdout'], done
  assert 'nearest' not in done['stderr']
