"""The combinations of answers: all of them, and a set that covers the pairs that matter."""

from itertools import product

from allpairspy import AllPairs

ANSWERS: dict[str, list[object]] = {
    "license": ["MIT", "Apache-2.0", "proprietary"],
    "example": [True, False],
    "ci": ["github", "gitlab", "none"],
}

ALL = [dict(zip(ANSWERS, values, strict=True)) for values in product(*ANSWERS.values())]
# The license is a text and a word in the metadata, which meet nothing of the pipeline:
# each license once with each example, and each pipeline once with each example.
PAIRWISE = [
    {"license": ANSWERS["license"][number // 2], "example": example, "ci": ci}
    for number, (example, ci) in enumerate(
        sorted(AllPairs([ANSWERS["example"], ANSWERS["ci"]]), key=lambda pair: pair[1])
    )
]


def name(combination: dict[str, object]) -> str:
    """Return a name for a test's parameter."""
    return "-".join(f"{key}={value}" for key, value in combination.items())
