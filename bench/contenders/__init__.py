"""The contenders, in the order in which each round runs them."""

from bench.contenders import naive, ours

ALL = (*ours.CONTENDERS, *naive.CONTENDERS)
