"""The named variants against the tables of their papers."""

import re

import pytest

import lstm_variants as lv

# Toggles that are on, of those that a variant may have. Greff et al.'s V has
# all gates, peepholes and activations; each of their variants changes one.
GATES = {'input_gate', 'forget_gate', 'output_gate'}
ACTIVATIONS = {'input_activation', 'output_activation'}
PEEPHOLES = {'peephole_i', 'peephole_f', 'peephole_o'}
BARE = GATES | ACTIVATIONS
V = BARE | PEEPHOLES

EXPECTED = {
  'vanilla': BARE,
  'peephole': V,
  'peephole_i': BARE | {'peephole_i'},
  'peephole_f': BARE | {'peephole_f'},
  'peephole_o': BARE | {'peephole_o'},
  'coupled': BARE | {'coupled'},
  'coupled_peephole': V - {'peephole_f'} | {'coupled'},
  'nig': V - {'input_gate', 'peephole_i'},
  'nfg': V - {'forget_gate', 'peephole_f'},
  'nog': V - {'output_gate', 'peephole_o'},
  'niaf': V - {'input_activation'},
  'noaf': V - {'output_activation'},
  'np': V - PEEPHOLES,
  'cifg': V - {'peephole_f'} | {'coupled'},
  'fgr': V | {'gate_recurrence'},
  'janet': {
    'input_gate',
    'forget_gate',
    'input_activation',
    'coupled',
    'coupling_shift',
  },
}


@pytest.mark.parametrize('name', EXPECTED)
def test_a_variant_has_the_toggles_of_its_paper(name):
  toggles = lv.VARIANTS[name].toggles
  on = {field for field, value in toggles._asdict().items() if value}
  assert on == EXPECTED[name]
  assert toggles.coupling_shift == (1.0 if name == 'janet' else 0.0)


def test_every_variant_says_what_it_is_and_where_it_comes_from():
  assert set(EXPECTED) <= set(lv.VARIANTS)
  for variant in lv.VARIANTS.values():
    assert variant.summary
    assert re.search(r'\b(19|20)\d\d\b', variant.reference)


def test_the_registry_cannot_be_changed_by_accident():
  with pytest.raises(TypeError):
    lv.VARIANTS['vanilla'] = lv.VARIANTS['np']  # pyrefly: ignore[unsupported-operation]


def test_aliases_name_the_toggles_of_another_variant():
  aliases = {k: v.alias_of for k, v in lv.VARIANTS.items() if v.alias_of}
  assert aliases == {'np': 'vanilla', 'cifg': 'coupled_peephole'}
  for name, other in aliases.items():
    assert lv.VARIANTS[name].toggles == lv.VARIANTS[other].toggles
  settled = [v.toggles for v in lv.VARIANTS.values() if not v.alias_of]
  assert len(set(settled)) == len(settled)
