"""Pictures 9 and 10: the next word of a sentence, and of a series."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from docs.tour import picture, sequences_figures
from lstm_variants import tasks
from lstm_variants.evidence import subjects
from lstm_variants.tasks import base, forecasting, text

# Words of the sentence that is shown, and of what the model reads before it.
SHORTEST, LONGEST, CONTEXT = 8, 12, 40
# Guesses that are shown.
GUESSES = 5
STOP = '.'
FIRST_YEAR = 1700


class Guess(NamedTuple):
  """What a model says before a word comes.

  Attributes:
    word: that comes.
    chance: that the model gives it.
    rank: of the word among all, from 1.
    words: the likeliest.
    chances: of these.
  """

  word: str
  chance: float
  rank: int
  words: tuple[str, ...]
  chances: tuple[float, ...]


class Forecasts(NamedTuple):
  """One-step forecasts of the held-out part of a series.

  Attributes:
    values: the whole series, standardised, `[count]`.
    border: where the held-out part begins.
    forecasts: model -> `[seeds, count − border]`.
    simple: name of a forecast that needs no model -> its mean squared error.
  """

  values: np.ndarray
  border: int
  forecasts: dict[str, np.ndarray]
  simple: dict[str, float]


def spec_of(subject: subjects.Subject) -> base.Spec:
  """Return what was chosen of the task, its held-out part."""
  fields = subject.settings.task_fields._asdict()
  options = {name: fields[name] for name in base.OPTIONS}
  return tasks.resolve(
    fields['name'],
    fields['dialect'],
    fields['length'],
    held_out=True,
    **options,
  )


def find_sentence(
  codes: np.ndarray, stop: int, strange: np.ndarray
) -> tuple[int, int]:
  """Return where the sentence begins and ends that is shown.

  Of those with `SHORTEST` to `LONGEST` words the one with the fewest strange
  ones; of several the first.

  Args:
    codes: of a text.
    stop: what ends a sentence.
    strange: boolean, `[symbols]`: no words of letters, or too rare.

  Returns:
    The places of its first word and of its full stop; the last `SHORTEST`
    words if there is no such sentence.
  """
  ends = np.flatnonzero(codes == stop)
  best, fewest = (max(len(codes) - SHORTEST, 0), len(codes) - 1), np.inf
  for begin, end in zip(ends[:-1] + 1, ends[1:], strict=True):
    if SHORTEST <= end - begin <= LONGEST and begin >= CONTEXT:
      count = int(np.sum(strange[codes[begin:end]]))
      if count < fewest:
        best, fewest = (int(begin), int(end)), count
  return best


def draw_words(
  study: subjects.Study, lstm: subjects.Subject, rnn: subjects.Subject
) -> picture.Drawn:
  """Draw what the model expects at each word of a sentence, and all losses."""
  spec = spec_of(lstm)
  indexed = text.index_text(text.read_text(spec.path), text.split_words, spec)
  codes = indexed.held_out.astype(np.int64)
  names = (*indexed.names[:-1], '(rare)')
  stop = names.index(STOP) if STOP in names else len(names) - 1
  strange = np.array([not name.isalpha() for name in names])
  begin, end = find_sentence(codes, stop, strange)
  start = max(begin - CONTEXT, 0)
  seen = picture.look(study, lstm, 1)
  inputs = np.eye(len(names), dtype=np.float32)[codes[start:end]]
  logits = picture.run(study, lstm, seen.params, inputs[None])[
    0, begin - 1 - start :
  ]
  guesses = read(logits, codes[begin : end + 1], names)
  losses = _losses(study, lstm, rnn)
  figure = sequences_figures.draw_words(seen.words, guesses, losses)
  rows: list[Sequence[Any]] = [
    (place, guess.word, guess.chance, guess.rank, word, chance)
    for place, guess in enumerate(guesses)
    for word, chance in zip(guess.words, guess.chances, strict=True)
  ]
  rows += [
    ('held-out loss', name, loss, '', '', '')
    for name, values in losses.items()
    for loss in values
  ]
  columns = ('place', 'word', 'chance_or_loss', 'rank', 'guess')
  return picture.Drawn(figure, (*columns, 'chance_of_guess'), rows)


def read(
  logits: np.ndarray, codes: np.ndarray, names: tuple[str, ...]
) -> list[Guess]:
  """Return what a model expected at each place.

  Args:
    logits: of the word that comes next, `[places, symbols]`.
    codes: the words that came, `[places]`.
    names: of the symbols.
  """
  chances = np.exp(logits - logits.max(axis=-1, keepdims=True))
  chances /= chances.sum(axis=-1, keepdims=True)
  guesses = []
  for row, code in zip(chances, codes.tolist(), strict=True):
    order = np.argsort(-row, kind='stable')
    best = order[:GUESSES].tolist()
    guesses.append(
      Guess(
        names[code],
        float(row[code]),
        int(np.flatnonzero(order == code)[0]) + 1,
        tuple(names[n] for n in best),
        tuple(float(row[n]) for n in best),
      )
    )
  return guesses


def _losses(
  study: subjects.Study, *models_shown: subjects.Subject
) -> dict[str, list[float]]:
  """Return losses in nats a word: of no memory, one word, and models."""
  task = models_shown[0].settings.held_out_task
  success = task.success
  assert isinstance(success, base.HeldOut)
  losses = {'unigram': [task.baselines['loss']], 'bigram': [success.below]}
  for subject in models_shown:
    runs = picture.rows_of(study, subject)
    losses[subject.model] = [run['final']['loss'] for run in runs]
  return losses


def draw_series(
  study: subjects.Study, lstm: subjects.Subject, rnn: subjects.Subject
) -> picture.Drawn:
  """Draw a series, its one-step forecasts, and the errors of all."""
  spec = spec_of(lstm)
  series = forecasting.read_series(spec)
  simple = forecasting.simple_forecasts(series, 1)
  values, border = series.values, series.border
  places = np.arange(border, len(values))
  windows = values[places[:, None] - spec.length + np.arange(spec.length)]
  forecasts = {}
  for subject in (lstm, rnn):
    params = subjects.end(study, subject).params
    forecasts[subject.model] = np.stack(
      [
        picture.run(
          study,
          subject,
          jax.tree.map(lambda leaf, n=n: leaf[n], params),
          windows[..., None],
        )[:, -1, 0]
        for n in range(len(subject.seeds))
      ]
    )
  errors = {name: metrics['loss'] for name, metrics in simple.items()}
  drawn = Forecasts(values, border, forecasts, errors)
  first = FIRST_YEAR if not spec.path else 0
  figure = sequences_figures.draw_series(
    drawn, first, 'year' if not spec.path else 'step'
  )
  names = [
    f'{model}_seed_{seed}'
    for subject in (lstm, rnn)
    for model, seed in ((subject.model, s) for s in subject.seeds)
  ]
  stacked = np.concatenate(list(forecasts.values()))
  rows: list[Sequence[Any]] = [
    (first + place, float(values[place]), *stacked[:, n].tolist())
    for n, place in enumerate(places.tolist())
  ]
  means = np.mean((stacked - values[places]) ** 2, axis=1)
  rows.append(('mean squared error', '', *means.tolist()))
  rows += [
    (f'mean squared error: {name}', error, *[''] * len(names))
    for name, error in errors.items()
  ]
  return picture.Drawn(figure, ('time', 'value', *names), rows)
