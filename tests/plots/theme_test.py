"""The files of figures."""

from matplotlib import layout_engine
import pytest

from lstm_variants.plots import theme


def _drawing():
  with theme.page(2, 'title') as drawing:
    axes = drawing.subplots()
    axes.plot([0, 1], label='line')
    theme.add_legend(drawing, *axes.get_legend_handles_labels())
  return drawing


def test_a_figure_is_laid_out_once_for_both_files(monkeypatch):
  engine = layout_engine.ConstrainedLayoutEngine
  execute, laid_out = engine.execute, []

  def counted(self, drawing):
    laid_out.append(drawing)
    return execute(self, drawing)

  monkeypatch.setattr(engine, 'execute', counted)
  drawing = _drawing()
  draw, drawn = drawing.draw, []
  monkeypatch.setattr(
    drawing, 'draw', lambda renderer: drawn.append(1) or draw(renderer)
  )
  svg, png = theme.pictures(drawing, 'salt')
  assert laid_out == [drawing] and len(drawn) == 2
  assert svg == theme.svg(_drawing(), 'salt')
  assert png.startswith(b'\x89PNG')
  assert theme.pictures(_drawing(), 'salt') == (svg, png)


def test_a_layout_that_fails_leaves_the_figure_as_it_was(monkeypatch):
  drawing = _drawing()
  canvas, dpi = drawing.canvas, drawing.dpi

  def fail(self, drawing):
    raise ValueError('no room')

  monkeypatch.setattr(layout_engine.ConstrainedLayoutEngine, 'execute', fail)
  with pytest.raises(ValueError, match='no room'):
    theme.pictures(drawing, 'salt')
  assert drawing.canvas is canvas and drawing.dpi == dpi


@pytest.mark.parametrize('least', [5e-324, 1e-310, 1e-308])
def test_a_logarithmic_axis_bears_numbers_below_any_power(least):
  with theme.page(2.0) as drawing:
    axes = drawing.add_subplot()
    axes.plot((1, 2), (least, 1.0))
    theme.scale_by_logarithm(axes.yaxis)
  assert theme.svg(drawing, 'a').startswith('<?xml')
