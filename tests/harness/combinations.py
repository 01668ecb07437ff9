"""The combinations of answers: all of them, and a set that covers the pairs that matter."""

from itertools import product

from allpairspy import AllPairs

ANSWERS: dict[str, list[object]] = {
    "license": ["MIT", "Apache-2.0", "proprietary"],
    "example": [True, False],
    "ci": ["github", "gitlab", "none"],
    "kubernetes": [True, False],
}

ALL = [dict(zip(ANSWERS, values, strict=True)) for values in product(*ANSWERS.values())]
# The license is a text and a word in the metadata, which meet nothing of the others: each
# license once with each example; and of the others, each pair of answers.
FEATURES = ["example", "ci", "kubernetes"]
PAIRWISE = [
    {
        "license": ANSWERS["license"][number // 2],
        **dict(zip(FEATURES, values, strict=True)),
    }
    for number, values in enumerate(
        sorted(AllPairs([ANSWERS[feature] for feature in FEATURES]), key=lambda v: v[1])
    )
]


def name(combination: dict[str, object]) -> str:
    """Return a name for a test's parameter."""
    return "-".join(f"{key}={value}" for key, value in combination.items())
