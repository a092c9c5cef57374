"""Which sentence is shown, and what a model expects in it."""

import numpy as np

from docs.tour import sequences

STOP, RARE = 0, 9
STRANGE = np.arange(10) == RARE


def _text(*lengths, rare=()):
  """Return a text of sentences of so many words, after enough context."""
  words = [1] * sequences.CONTEXT + [STOP]
  for number, length in enumerate(lengths):
    words += [RARE if number in rare else 2] + [3] * (length - 1) + [STOP]
  return np.array(words)


def test_the_first_sentence_of_a_fitting_length_is_shown():
  codes = _text(3, 20, 10, 9)
  begin, end = sequences.find_sentence(codes, STOP, STRANGE)
  assert codes[end] == STOP and end - begin == 10
  assert codes[begin] == 2


def test_a_sentence_with_fewer_rare_words_goes_first():
  codes = _text(10, 9, rare=(0,))
  begin, end = sequences.find_sentence(codes, STOP, STRANGE)
  assert end - begin == 9


def test_a_sentence_without_enough_before_it_is_not_shown():
  codes = np.concatenate((_text(10)[sequences.CONTEXT :], _text(8)))
  begin, end = sequences.find_sentence(codes, STOP, STRANGE)
  assert begin >= sequences.CONTEXT and end - begin == 8


def test_without_a_sentence_the_end_is_shown():
  codes = np.full(50, 2)
  assert sequences.find_sentence(codes, STOP, STRANGE) == (42, 49)


def test_guesses_are_the_likeliest_words_with_their_chances():
  chances = np.array([[0.1, 0.2, 0.05, 0.4, 0.15, 0.1], [1 / 6] * 6])
  names = tuple('abcdef')
  first, second = sequences.read(np.log(chances) + 3, np.array([4, 5]), names)
  assert first.word == 'e' and first.rank == 3
  np.testing.assert_allclose(first.chance, 0.15)
  assert first.words == ('d', 'b', 'e', 'a', 'f')
  np.testing.assert_allclose(first.chances, (0.4, 0.2, 0.15, 0.1, 0.1))
  assert second.rank == 6 and second.words == tuple('abcde')
