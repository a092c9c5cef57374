"""Draw the ten pictures of docs/tour.md, from the simple RNN to the LSTM."""

import sys

from lstm_variants import __main__ as program

if __name__ == '__main__':
  program.run('tour', sys.argv[1:], 'docs.tour.command')
