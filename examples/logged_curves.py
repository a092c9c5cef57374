"""A tracker of one's own: a text file for each run."""

import lstm_variants as lv


class TextFile:
  """Writes a line for each evaluation."""

  def start(self, member):
    folder = member.workdir / 'curves'
    folder.mkdir(exist_ok=True)
    self._file = open(folder / f'{member.name}.txt', 'w')
    rate = member.config['optimizer.learning_rate']
    print(f'# {member.population}, learning rate {rate}', file=self._file)
    # None: it has no row of the run any more; all of them follow.

  def log(self, sequences, metrics):
    print(sequences, metrics['loss'], file=self._file, flush=True)

  def finish(self, summary):
    if summary is not None:  # not interrupted
      print(f'# {summary["status"]}', file=self._file)
    self._file.close()


lv.register_tracker('text', TextFile)
