"""Studies: configs with a `get_hyper()` that states a grid."""
