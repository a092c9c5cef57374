"""What a run is made of: entries of registries, some of them from outside."""

from collections.abc import Iterable, Mapping
from typing import Any

from lstm_variants import cells, extensions, optimizers, tasks
from lstm_variants.cells import variants
from lstm_variants.registry import Registry

Component = tuple[Registry, str]


def of_runs(configs: Iterable[Any]) -> list[Component]:
  """Return the components that runs name, each once.

  Args:
    configs: nested, of the runs; what names nothing is passed over.

  Returns:
    A registry and the name of its entry, each; it may be lacking there.
  """
  components: dict[tuple[str, str], Component] = {}
  for config in configs:
    for registry, part, field in _places(config):
      name = _name(config, part, field)
      if name is not None:
        components[registry.kind, name] = registry, name
  return list(components.values())


def _places(config: Any) -> list[tuple[Registry, str, str]]:
  """Return registries, and the field of a config that names an entry."""
  model = variants.VARIANTS
  if _name(config, 'model', 'variant') not in variants.VARIANTS:
    model = cells.CELLS
  places: list[tuple[Any, str, str]] = [
    (tasks.DIALECTS, 'task', 'name'),
    (model, 'model', 'variant'),
    (optimizers.OPTIMIZERS, 'optimizer', 'name'),
  ]
  return [place for place in places if isinstance(place[0], Registry)]


def _name(config: Any, part: str, field: str) -> str | None:
  """Return what a field names, or None where a config has no such field."""
  fields = config.get(part) if isinstance(config, Mapping) else None
  name = fields.get(field) if isinstance(fields, Mapping) else None
  return name if isinstance(name, str) else None


def check_study(workdir: str, study: Mapping[str, Any]) -> None:
  """Refuse a study that uses what a module registers that is not imported.

  Args:
    workdir: of the study.
    study: from `results.read_study`.

  Raises:
    ExtensionError: the first such component, and what to import.
  """
  needed = study.get('modules')
  if isinstance(needed, list) and needed:
    place = f'--workdir={workdir}'
    extensions.require(place, of_runs(study['runs']), needed)
