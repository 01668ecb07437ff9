"""The combinations of answers: all of them, and a set that covers every pair."""

from itertools import product

from allpairspy import AllPairs

ANSWERS: dict[str, list[object]] = {
    "license": ["MIT", "Apache-2.0", "proprietary"],
    "example": [True, False],
    "ci": ["github", "gitlab", "none"],
}

ALL = [dict(zip(ANSWERS, values, strict=True)) for values in product(*ANSWERS.values())]
PAIRWISE = [
    dict(zip(ANSWERS, values, strict=True)) for values in AllPairs([*ANSWERS.values()])
]


def name(combination: dict[str, object]) -> str:
    """Return a name for a test's parameter."""
    return "-".join(f"{key}={value}" for key, value in combination.items())
