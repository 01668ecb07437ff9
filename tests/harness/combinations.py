"""The combinations of answers, and a set of them that covers the pairs that matter."""

from collections.abc import Iterable
from itertools import product

LICENSES = ["MIT", "Apache-2.0", "proprietary"]
ANSWERS: dict[str, list[object]] = {
    "example": [True, False],
    "ci": ["github", "gitlab", "none"],
    "kubernetes": [True, False],
    "auth": ["none", "oidc"],
    "jobs": [True, False],
    "telemetry": [True, False],
}


def with_licenses(combinations: Iterable[Iterable[object]]) -> list[dict[str, object]]:
    """Return the combinations as answers, each with one of the licenses in turn.

    A license is a text and a word in three files, which a test of its own shows.
    """
    return [
        {
            "license": LICENSES[number // len(LICENSES) % len(LICENSES)],
            **dict(zip(ANSWERS, values, strict=True)),
        }
        for number, values in enumerate(combinations)
    ]


def with_pipelines(combinations: Iterable[Iterable[object]]) -> list[list[object]]:
    """Return the combinations, each with one of the systems for CI in turn.

    That answer chooses between files. It changes none of them.
    """
    systems = ANSWERS["ci"]
    position = [*ANSWERS].index("ci")
    pipelines = []
    for number, values in enumerate(combinations):
        answers = [*values]
        answers.insert(position, systems[number % len(systems)])
        pipelines.append(answers)
    return pipelines


ALL = with_licenses(
    with_pipelines(
        product(*(values for question, values in ANSWERS.items() if question != "ci"))
    )
)
PAIRWISE = with_licenses(
    [
        (True, "github", True, "none", True, True),
        (False, "github", False, "oidc", False, True),
        (True, "gitlab", True, "oidc", False, False),
        (False, "gitlab", False, "none", True, True),
        (True, "none", False, "oidc", True, False),
        (False, "none", True, "none", False, True),
        (True, "gitlab", False, "none", False, False),
        (False, "github", True, "oidc", True, False),
    ]
)


def name(combination: dict[str, object]) -> str:
    """Return a name for a test's parameter."""
    return "-".join(f"{key}={value}" for key, value in combination.items())
