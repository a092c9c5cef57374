"""Claims of 2013 to 2024 about remembering over long lags."""

import math

from lstm_variants.claims import claim, questions

_WITH, _ALONE, _NEITHER = (
  questions.arm(
    name, optimizer__gradient_penalty=weight, optimizer__clip_norm=norm
  )
  for name, weight, norm in (
    ('clipping and Ω', 2.0, 1.0),
    ('clipping alone', 0.0, 1.0),
    ('neither', 0.0, math.inf),
  )
)
_BIAS_1, _BIAS_0 = (
  questions.model('vanilla', f'LSTM, bias {bias}', model__forget_bias=bias)
  for bias in (1.0, 0.0)
)
_GRU = questions.model('gru', 'GRU')
_STANDARD = questions.arm('forget bias 1', model__chrono_t_max=0.0)
_LSTM, _RNN = (
  questions.model('vanilla', 'LSTM'),
  questions.model('simple_rnn', 'simple RNN'),
)
_JANET = questions.model('janet', 'JANET')


def _memoryless(length: int) -> float:
  """Return nats a step of who guesses ten of eight symbols in T + 20 steps."""
  return 10 * math.log(8) / (length + 20)


def _chrono(t_max: float) -> questions.Arm:
  return questions.arm('chrono', model__chrono_t_max=t_max)


CLAIMS = (
  claim.Claim(
    name='pascanu13_temporal_order',
    says='a simple RNN learns temporal order with clipping and Ω',
    published='100 % of 5 runs, T of each batch from 50 to 200; clipping "more '
    'important" as T grows',
    source='Pascanu, Mikolov & Bengio 2013, section 4.1.1',
    config='published/pascanu13:temporal_order',
    minutes=5.0,
    training=claim.Training(
      100_000_000, 'their 5,000,000 updates of 20 at most'
    ),
    rule='held-out wrong below 0.01',
    questions=[
      questions.solves(_WITH),
      questions.sooner(_WITH, _ALONE),
      questions.sooner(_ALONE, _NEITHER),
    ],
    otherwise='T = 50 alone; at most 20,000 updates in place of 5,000,000; '
    'uniform initial weights; weight of Ω 2, as in their code, in place of the '
    "text's 4",
  ),
  claim.Claim(
    name='jozefowicz15_forget_bias',
    says='a bias of 1 on the forget gate makes an LSTM as good as a GRU',
    published='"closes the gap between the LSTM and the GRU"',
    source='Jozefowicz, Zaremba & Sutskever 2015, abstract',
    config='published/jozefowicz15:forget_bias',
    minutes=1.5,
    training=claim.Training(96_000, 'ours: theirs are of other tasks'),
    rule='held-out loss below 0.001',
    questions=[
      questions.sooner(_BIAS_1, _BIAS_0),
      questions.sooner(_GRU, _BIAS_0),
      questions.no_later(_BIAS_1, _GRU),
    ],
    otherwise='adding over 50 steps in place of arithmetic, XML and Penn '
    'Treebank; one setting in place of a search; our GRU and LSTM',
  ),
  claim.Claim(
    name='urnn16_copy',
    says='an LSTM stays at the loss of who remembers nothing on copy',
    published='so at T = 200, 300 and 500, in 1,000,000 sequences',
    source='Arjovsky, Shah & Bengio 2016, section 5.1 and figure 1',
    config='published/urnn16:copy',
    minutes=11.0,
    training=claim.Training(1_000_000, 'their figure 1'),
    rule='held-out wrong below 0.01',
    questions=[
      questions.fails(_LSTM),
      questions.stays_above(_LSTM, 0.99 * _memoryless(200)),
    ],
    otherwise='T = 200, 500,000 sequences; an LSTM without their peephole '
    'on the output gate; at or above 99 % of that loss counts as there',
  ),
  claim.Claim(
    name='urnn16_adding',
    says='an LSTM learns adding, a simple RNN does not',
    published='LSTM: convincingly below 0.167 up to T = 400; RNN: never',
    source='Arjovsky, Shah & Bengio 2016, section 5.2 and figure 2',
    config='published/urnn16:adding',
    minutes=5.0,
    training=claim.Training(5_000_000, 'their figure 2, 100,000 updates of 50'),
    rule='held-out loss below 0.001',
    questions=[
      questions.reaches(_LSTM, 0.1 / 6, 'loss'),
      questions.stays_above(_RNN, 0.99 / 6),
    ],
    otherwise='T = 100, 64 units in place of 128, 6,000 updates (their curves '
    'go to 100,000); below is a tenth of 1/6, not below 99 % of it',
  ),
  claim.Claim(
    name='tallec18_copy',
    says='chrono initialisation learns copy where a forget bias of 1 does not',
    published='chrono does not stay at the loss of who remembers nothing; '
    'curves only',
    source='Tallec & Ollivier 2018, figure 1',
    config='published/tallec18:copy',
    minutes=3.0,
    training=claim.Training(
      1_920_000, 'their figure 1, about 60,000 updates of 32'
    ),
    rule='held-out wrong below 0.01',
    questions=[
      questions.lower(_chrono(75.0), _STANDARD),
      questions.reaches(_chrono(75.0), 0.9 * _memoryless(50), 'loss'),
      questions.stays_above(_STANDARD, 0.99 * _memoryless(50)),
    ],
    otherwise='T = 50 with T_max = 75 in place of 500 and 750; 64 units in '
    'place of 128; gradients are clipped at norm 1; learned is 90 % of that '
    'loss or less, not learned 99 % or more',
  ),
  claim.Claim(
    name='tallec18_adding',
    says='chrono initialisation speeds up adding',
    published='7 times faster at T = 750; significantly at T = 200',
    source='Tallec & Ollivier 2018, figure 2',
    config='published/tallec18:adding',
    minutes=3.0,
    training=claim.Training(128_000, 'ours: theirs are not known here'),
    rule='held-out loss below 0.001',
    questions=[
      questions.reaches(_chrono(200.0), 0.1 / 6, 'loss'),
      questions.lower(_chrono(200.0), _STANDARD),
    ],
    otherwise='T = 200, 32 units in place of 128; gradients are clipped at '
    'norm 1; 4,000 updates of 32; learned is a tenth of 1/6, the loss of a '
    'constant; faster is a lower loss after as many updates',
  ),
  claim.Claim(
    name='janet18_adding',
    says='JANET, with a forget gate alone, is as good as the LSTM or better',
    published='permuted MNIST 92.5 against 91 % (abstract)',
    source='van der Westhuizen & Lasenby 2018, abstract and figures',
    config='published/janet18:adding',
    minutes=2.0,
    training=claim.Training(3_150_000, 'their code, 30 epochs of 105,000'),
    rule='held-out loss below 0.001',
    questions=[
      questions.solves(_JANET),
      questions.no_later(_JANET, _LSTM),
    ],
    otherwise='adding at T = 100, 32 units, Adam 5e-3; both with chrono '
    'initialisation (in their code JANET has it, the LSTM on demand)',
  ),
  claim.Claim(
    name='feng24_selective_copying',
    says='minGRU and minLSTM learn selective copying',
    published='minGRU 99.5 %, minLSTM 96.0 % of the tokens, T = 4,096',
    source='Feng et al. 2024, as quoted by others',
    config='published/feng24:selective_copying',
    minutes=3.0,
    training=claim.Training(12_800_000, 'their 400,000 updates, of 32 as ours'),
    rule='held-out wrong below 0.01',
    questions=[
      questions.reaches(questions.model('mingru', 'minGRU'), 0.005),
      questions.reaches(questions.model('minlstm', 'minLSTM'), 0.04),
    ],
    otherwise='3 layers as there, but T = 30 with 4 tokens of 6 symbols, 64 '
    'units, 3,000 updates of 32 sequences in place of 400,000',
  ),
)
