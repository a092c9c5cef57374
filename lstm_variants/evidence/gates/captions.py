"""What is said below the figures."""

SEQUENCE = (
  'One new sequence, and what the last layer of {run} does at each of its '
  'steps. Gates from 0 (white) to 1; candidate, c and h white at 0. Units are '
  'ordered by how much their state, before the answer is asked for, tells of '
  'the answer over {sequences} sequences. Below, the first unit alone. Dashed: '
  'marked steps. Of the seeds a solved one is shown, if there is any.'
)
ALIGNED = (
  'Averages over {sequences} sequences around the marked steps, of {run}: the '
  'units whose state tells most of the answer; bands: the middle 80 % of the '
  'sequences.'
)
SATURATION = (
  'How often each gate of a unit is nearly shut (below 0.1) or open (above '
  '0.9), as Karpathy, Johnson and Fei-Fei (2015) draw it, and the distribution '
  'of all values; one run of each model, a solved one if there is any, '
  '{sequences} sequences without their padding.'
)
CONSTANTS = (
  'τ = −1 / mean(ln f): the steps after which the gates alone leave 1/e of a '
  'state (up to {seeds} runs of each model, solved ones first; {sequences} '
  'sequences without their padding). What a '
  'unit keeps by writing it again, through h, does not show.'
)
