"""List the configs of the house, or copy one out to change it."""

from lstm_variants.commands import command
from lstm_variants.commands import config as program

if __name__ == '__main__':
  command.start(program)
