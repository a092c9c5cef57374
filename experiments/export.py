"""Write the model of a run for other tools."""

from lstm_variants.commands import command
from lstm_variants.commands import export as program

if __name__ == '__main__':
  command.start(program)
