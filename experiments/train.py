"""Train one run."""

from lstm_variants.commands import command
from lstm_variants.commands import train as program

if __name__ == '__main__':
  command.start(program)
