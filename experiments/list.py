"""List tasks, cells, variants, optimizers, fields and studies."""

from lstm_variants.commands import command
from lstm_variants.commands import list as program

if __name__ == '__main__':
  command.start(program)
