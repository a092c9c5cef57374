"""Figures of ours are dark on a dark page, as in the report."""

import pathlib

from sphinx import application

from lstm_variants.plots import theme


def _follow_page(app: application.Sphinx, exception: Exception | None) -> None:
  if exception is not None:
    return
  for path in pathlib.Path(app.outdir, '_images').glob('*.svg'):
    text = path.read_text(encoding='utf-8')
    if theme.DARK_RULES not in text:
      path.write_text(theme.follow_page(text), encoding='utf-8')


def setup(app: application.Sphinx) -> dict[str, bool]:
  """Change the copies of the figures once they are made."""
  app.connect('build-finished', _follow_page)
  return {'parallel_read_safe': True, 'parallel_write_safe': True}
