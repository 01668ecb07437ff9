"""The combinations of answers: all of them, and a set that covers the pairs that matter."""

from collections.abc import Iterable, Sequence
from itertools import cycle, product

ANSWERS: dict[str, list[object]] = {
    "license": ["MIT", "Apache-2.0", "proprietary"],
    "example": [True, False],
    "ci": ["github", "gitlab", "none"],
    "kubernetes": [True, False],
    "auth": ["none", "oidc"],
}

# The license is a text and a word in the metadata, which meet nothing of the others: it
# changes from one combination of them to the next, and each pair of answers is there.
FEATURES = ["example", "ci", "kubernetes", "auth"]


def _with_licenses(rows: Iterable[Sequence[object]]) -> list[dict[str, object]]:
    licenses = cycle(ANSWERS["license"])
    return [
        {"license": license, **dict(zip(FEATURES, row, strict=True))}
        for license, row in zip(licenses, rows, strict=False)
    ]


ALL = _with_licenses(product(*(ANSWERS[feature] for feature in FEATURES)))
PAIRWISE = _with_licenses(
    [
        (True, "github", True, "none"),
        (False, "github", False, "oidc"),
        (True, "gitlab", True, "oidc"),
        (False, "gitlab", False, "none"),
        (True, "none", False, "oidc"),
        (False, "none", True, "none"),
    ]
)


def name(combination: dict[str, object]) -> str:
    """Return a name for a test's parameter."""
    return "-".join(f"{key}={value}" for key, value in combination.items())
