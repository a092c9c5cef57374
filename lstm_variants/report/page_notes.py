"""What the columns of the report mean."""

NOTES = (
  (
    'model',
    'Followed by the fields, other than the seed, that vary among the runs of '
    'the task. Runs that differ by their seeds alone share a row, as do the '
    'trials of a random search.',
  ),
  (
    'runs, solved, diverged',
    'Number of runs; of them met the success criterion at some point of their '
    'training; of them ended with numbers that are not finite. A run can be '
    'both solved and diverged.',
  ),
  (
    'median to success',
    'Training sequences until the success criterion was met: the Kaplan-Meier '
    'median. An unsolved run is censored: known only to need more than the '
    'sequences it was trained on (one that diverged: more than the longest of '
    'its row was trained on). “> n”: not reached within the n sequences of the '
    'longest run. The interval inverts the pointwise 95 % log-log band of the '
    'Kaplan-Meier curve (Brookmeyer & Crowley 1982); with fewer than six runs '
    'it has no upper end.',
  ),
  (
    'final loss',
    'Mean over runs of the held-out loss where training ended, with its 95 % '
    'BCa bootstrap interval (Efron 1987; none for a single run). Runs that '
    'diverged or whose final loss is not finite are left out; the number left '
    'is then given in parentheses. Where training stops at success, faster '
    'runs end on fewer sequences: compare losses with that in mind.',
  ),
  (
    'p, Welch',
    'Two-sided Welch test (1947) of the mean final loss against the row of the '
    'baseline model whose other fields are equal; “—” where there is no such '
    'row, where either side has fewer than two finite losses, or where neither '
    'side varies.',
  ),
  (
    'p, Holm',
    'The same, adjusted for all comparisons of this table (Holm 1979): below '
    '0.05 is significant at 5 % for the table as a whole.',
  ),
  ('params', 'Parameters that the model reads, of one run.'),
  (
    'ms/update',
    'Training time of the population without compilation, divided by its '
    'updates and by its runs, evaluations included: models trained in one '
    'program share one figure, which does not tell them apart.',
  ),
)
