"""Draw what a study's models do with gradients, gates and lengths."""

from lstm_variants.commands import analyse as program
from lstm_variants.commands import command

if __name__ == '__main__':
  command.start(program)
