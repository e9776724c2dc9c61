"""The name somebody probably meant: the same algorithm as ``tide._nearest``."""

import string
from collections.abc import Iterable

# Only ASCII is folded: what PostgreSQL does with other letters depends on the collation.
_FOLD = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def nearest(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate with the smallest edit distance, None when none is near.

    Near is a distance of at most a third of the word's length, rounded down; upper and lower case are the same;
    of equals the first in code point order wins.
    """
    limit = len(word) // 3
    folded = word.translate(_FOLD)
    best: str | None = None
    for candidate in sorted(candidates):
        if abs(len(candidate) - len(word)) > limit:
            continue
        distance = _distance(folded, candidate.translate(_FOLD))
        if distance <= limit:
            best = candidate
            limit = distance - 1
    return best


def _distance(left: str, right: str) -> int:
    """Levenshtein distance in code points."""
    above = list(range(len(right) + 1))
    for row, left_letter in enumerate(left, start=1):
        current = [row]
        for column, right_letter in enumerate(right, start=1):
            current.append(
                min(
                    above[column] + 1,
                    current[column - 1] + 1,
                    above[column - 1] + (left_letter != right_letter),
                )
            )
        above = current
    return above[-1]
