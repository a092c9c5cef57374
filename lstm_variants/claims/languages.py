"""Claims about regular languages and the state that they need."""

from lstm_variants.claims import claim, questions

_LSTM, _RNN = (
  questions.model('vanilla', 'LSTM'),
  questions.model('simple_rnn', 'simple RNN'),
)


def _deletang(task: str, subject: str, minutes: float) -> claim.Claim:
  """Return the claim that LSTMs and RNNs learn a regular language.

  Args:
    task: of configs/published/deletang23.py.
    subject: what is learned, as the claim names it.
    minutes: on two cores.
  """
  return claim.Claim(
    name=f'deletang23_{task}',
    says=f'LSTM and simple RNN learn {subject} for lengths never seen',
    published='100 % right in every seed, at the best of 3 learning rates',
    source='Delétang et al. 2023, appendix B.1',
    config=f'published/deletang23:{task}',
    minutes=minutes,
    training=claim.Training(128_000_000, 'their 1,000,000 updates of 128'),
    rule='held-out wrong below 1e-09',
    questions=[questions.solves(_LSTM), questions.solves(_RNN)],
    otherwise='solved is 100 % right of 512 words, every T from 41 to 500 '
    'among them (theirs is 90 %); 32 units in place of 256; Adam at one rate '
    'alone, 1,500 to 20,000 updates of 32 words in place of 1,000,000 of 128',
  )


CLAIMS = (
  _deletang('parity', 'parity', 1.0),
  _deletang('even_pairs', 'even pairs', 0.7),
  _deletang('cycle_navigation', 'cycle navigation', 3.5),
  _deletang('modular_arithmetic', 'modular arithmetic', 3.5),
  claim.Claim(
    name='xlstm24_parity',
    says='parity is learned with memory mixing (sLSTM, LSTM), not without',
    published='models without memory mixing cannot solve it; LSTM and sLSTM '
    '100 % right at T = 40 to 256',
    source='Beck et al. 2024, section 4.1; the numbers: Terzić et al. 2025, '
    'table 2, as quoted by others',
    config='published/xlstm24:parity',
    minutes=2.5,
    training=claim.Training(25_600_000, 'their 100,000 updates of 256'),
    rule='held-out wrong below 1e-09',
    questions=[
      questions.solves(questions.model('slstm', 'sLSTM')),
      questions.solves(_LSTM),
      questions.fails(questions.model('minlstm', 'minLSTM')),
    ],
    otherwise='solved is 100 % right of 512 words, every T from 40 to 256 '
    'among them; minLSTM, without memory mixing too, in place of mLSTM; '
    'one layer of 32, Adam 5e-3, 4,000 updates of 32 in place of 100,000 of '
    '256',
  ),
)
