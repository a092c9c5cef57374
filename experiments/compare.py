"""Compare the models of a study with a baseline."""

from lstm_variants.commands import command
from lstm_variants.commands import compare as program

if __name__ == '__main__':
  command.start(program)
