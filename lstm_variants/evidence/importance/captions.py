"""What is said below the figures."""

BEST = (
  'Final held-out loss of the best trials of each model’s random search, as in '
  'Greff et al. (2017), figure 3: the best tenth, at least {least} trials. '
  'Boxes: quartiles; whiskers: the whole range; line: median; red dot: mean. '
  'Thick and blue: the mean log loss differs from {baseline}’s (p of all '
  'trials divided at random and the best chosen again, adjusted by Holm for '
  'all models of all tasks, 5 %). Gray bars: mean number of parameters in use. '
  'The trials are chosen and compared on one held-out set, the paper had two.'
)
MARGINALS = (
  'Expected final loss against each hyper-parameter, averaged over all others '
  '(geometric mean): what a random forest predicts that was fitted to the '
  'trials, with one standard deviation over its trees. Trials that diverged '
  'count as the worst finite loss. The forest explains {fit:.0%} of the '
  'variance of trials its trees did not see. Last panel: functional ANOVA of '
  'log10 of the loss; dotted: the share that a hyper-parameter without '
  'influence gets from so many trials.'
)
SHARES = (
  'Functional ANOVA (Hutter et al. 2014) of log10 of the final loss: what each '
  'hyper-parameter explains alone of the variance over the searched box, each '
  'in the scale in which it was drawn. Hatched: what none explains alone, '
  'interactions and chance that the trees learned. Floor: what one without '
  'influence gets (the losses shuffled). R²: of the forest, on trials its '
  'trees did not see; near 0 or below (pale), the shares describe chance, as '
  'they do where trials are few. The table adds PED-ANOVA’s opinion (Watanabe '
  'et al. 2023: what tells the best trials from the others, as shares of 1).'
)
