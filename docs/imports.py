"""Draw who imports whom: docs/figures/imports.svg, part of `make docs`.

The packages of `lstm_variants` stand in the layers that the contract in
pyproject.toml gives them. An arrow leads from a package to one that it imports,
unless it also comes there by way of others. `fields, rules` are two files of
`config` that stand on little and that every package above may import.
"""

from collections.abc import Iterator, Mapping
import pathlib
import tomllib
from typing import Any

import grimp
from matplotlib import patches

from lstm_variants.plots import theme

ROOT = pathlib.Path(__file__).parents[1]
FIGURE = ROOT / 'docs' / 'figures' / 'imports.svg'
PACKAGE = 'lstm_variants'
GROUND = 'fields, rules'
_GROUND_FILES = ('config.fields', 'config.rules')
# From left to right, so that few arrows cross and none goes behind a name.
PLACES = {
  'models': 0.4,
  'cells': 0.8,
  'tasks': 3.1,
  'registry': 3.0,
  GROUND: 4.5,
  'errors': 4.5,
  'optimizers': 4.95,
  'bridges': 5.6,
  'runs': 6.3,
  'console': 6.3,
  'names': 8.2,
  'config': 5.6,
  'extensions': 8.2,
  'commands': 7.2,
  'launch': 8.2,
  'training': 8.2,
  'statistics': 8.2,
  'trackers': 6.75,
}
_RIGHT, _WIDTH, _HEIGHT = 10.0, 1.7, 0.5  # of a box, and where others stand
Edges = dict[str, set[str]]


def layers() -> list[list[str]]:
  """Return the packages of each layer, the topmost first."""
  config = tomllib.loads((ROOT / 'pyproject.toml').read_text())
  (contract,) = [
    contract
    for contract in config['tool']['importlinter']['contracts']
    if contract['type'] == 'layers'
  ]
  rows = [
    [name.strip(' ()') for name in layer.split('|')]
    for layer in contract['layers']
  ]
  there = [[name for name in row if _exists(name)] for row in rows]
  *above, names, errors = [row for row in there if row]
  return [*above, [GROUND], names, errors]


def _exists(name: str) -> bool:
  place = ROOT / PACKAGE / name
  return place.is_dir() or place.with_suffix('.py').is_file()


def imports() -> Edges:
  """Return package -> the packages that it imports."""
  graph = grimp.build_graph(PACKAGE, cache_dir=None)
  edges: Edges = {name: set() for row in layers() for name in row}
  for module in graph.modules:
    for imported in graph.find_modules_directly_imported_by(module):
      one, other = _package(module), _package(imported)
      if one in edges and other in edges and one != other:
        edges[one].add(other)
  return edges


def _package(module: str) -> str:
  name = module.removeprefix(f'{PACKAGE}.')
  return GROUND if name in _GROUND_FILES else name.partition('.')[0]


def reduced(edges: Edges) -> Edges:
  """Return the edges that no path of others makes up for."""
  return {
    name: {
      other
      for other in imported
      if not any(
        other in _reached(edges, between) for between in imported - {other}
      )
    }
    for name, imported in edges.items()
  }


def _reached(edges: Mapping[str, set[str]], name: str) -> set[str]:
  """Return all that a package imports by way of others; there is no circle."""
  reached = set(edges[name])
  for imported in edges[name]:
    reached |= _reached(edges, imported)
  return reached


def draw(edges: Edges) -> Any:
  """Return the figure: a box for each package, an arrow for each edge."""
  rows = layers()
  places = {
    name: (PLACES.get(name, _RIGHT), -float(depth))
    for depth, row in enumerate(rows)
    for name in row
  }
  with theme.page(0.5 * len(rows)) as drawing:
    axes = drawing.add_subplot()
    axes.set_axis_off()
    axes.set_xlim(-0.6, 11.1)
    axes.set_ylim(-len(rows) + 0.5, 0.5)
    for name in places:
      _box(axes, name, places[name])
    for name, other in _pairs(edges):
      _arrow(axes, name, other, places)
  return drawing


def _pairs(edges: Edges) -> Iterator[tuple[str, str]]:
  for name in edges:
    for other in sorted(edges[name]):
      yield name, other


def _box(axes: Any, name: str, place: tuple[float, float]) -> None:
  x, y = place
  axes.add_patch(
    patches.FancyBboxPatch(
      (x - _WIDTH / 2, y - _HEIGHT / 2),
      _WIDTH,
      _HEIGHT,
      boxstyle='round,pad=0,rounding_size=0.12',
      facecolor='#eef4fa',
      edgecolor=theme.PALETTE[0],
      linewidth=0.9,
    )
  )
  axes.text(x, y, name, ha='center', va='center', fontsize=9)


def _arrow(
  axes: Any, name: str, other: str, places: Mapping[str, tuple[float, float]]
) -> None:
  """Draw an arrow, whose name in the SVG says who imports whom."""
  (x, y), (other_x, other_y) = places[name], places[other]
  arrow = patches.FancyArrowPatch(
    (x, y - _HEIGHT / 2),
    (other_x, other_y + _HEIGHT / 2),
    arrowstyle='-|>',
    mutation_scale=8,
    shrinkA=0,
    shrinkB=0,
    linewidth=0.8,
    color=theme.GRAY,
  )
  arrow.set_gid(arrow_id(name, other))
  axes.add_patch(arrow)


def arrow_id(name: str, other: str) -> str:
  """Return the id of an arrow in the SVG."""
  return f'import-{name}-{other}'.replace(', ', '+')


def main() -> None:
  """Write the figure."""
  FIGURE.write_text(theme.svg(draw(reduced(imports())), 'imports'))
  print(f'wrote {FIGURE}')


if __name__ == '__main__':
  main()
