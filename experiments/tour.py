"""Draw the ten pictures of docs/tour.md, from the simple RNN to the LSTM."""

from docs.tour import command as program
from lstm_variants.commands import command

if __name__ == '__main__':
  command.start(program)
