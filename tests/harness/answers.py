"""The questions, awkward answers, and a render that does not trust the template."""

from pathlib import Path

import copier
import yaml

from tests.harness.project import ROOT, Project

CONFIGURATION = yaml.safe_load((ROOT / "copier.yml").read_text())
QUESTIONS = {
    name: question for name, question in CONFIGURATION.items() if name[0] != "_"
}
# Of the questions whose default is no expression.
DEFAULTS = {
    name: question["default"]
    for name, question in QUESTIONS.items()
    if "{" not in str(question["default"])
}

NAMES_TO_REFUSE = [
    *("", " ", "My  Service", " Service", "Service ", "Service\n", "Serv\nice", "a\tb"),
    *(
        'My "Service"',
        "Bob's",
        "`x`",
        "{{ 7 * 7 }}",
        "{% raw %}",
        "# {% raw %}",
        "${x}",
    ),
    *("../evil", "/etc/passwd", "a/b", "a\\b", "..", ".hidden", "-rf", "_private"),
    *("3D Service", "2024", "Rocket 🚀", "key: value", "- item", "[x]", "a#b", "*"),
    *("x" * 51, "x" * 300, "nul\x00", "a\u202eb", "\u200b", "a\u2028b", "<b>", "100 %"),
]
NAMES_TO_RENDER = [
    *("Privacy Rights API", "x", "x" * 50, "class", "import", "None", "true", "null"),
    *("Calendar", "Test", "Café", "Größe 2", "数据服务", "v2.0", "snake_case", "on"),
    *("Cafe\u0301", "हिन्दी सेवा", "บริการ", "தமிழ்", "خِدمة"),
]
SLUGS_OF_NAMES = {
    "Privacy Rights API": "privacy-rights-api",
    "v2.0 of_it": "v2-0-of-it",
    "Société": "societe",
    "Socie\u0301te\u0301": "societe",
    "Straße Größe": "strasse-grosse",
    "Łódź": "lodz",
    "Ægir Þór": "aegir-thor",
    "Çalışma Işığı": "calisma-isigi",
    "İstanbul": "istanbul",
    "Đặt hàng": "dat-hang",
    "Пошта": "poshta",
    "Объявление": "obiavlenie",
    "Ђорђе Љубав": "djordje-ljubav",
    "Ψυχή": "psychi",
    "Щ" * 20: "shch" * 12 + "sh",
}
NAMES_WITHOUT_SLUG = [
    *(
        "你好",
        "数据 API",
        "日本サービス",
        "서비스",
        "خدمة",
        "שירות",
        "हिन्दी सेवा",
        "บริการ",
    ),
    *("தமிழ்", "ქართული", "Հայերեն", "Ъ", "FastAPI", "PyYAML"),
]
SLUGS_TO_REFUSE = [
    *("", "Upper", "under_score", "dot.ted", "-a", "a-", "a--b", "3d", "a b", "a\n"),
    *("é", "../x", "a/b", "x" * 51, "fastapi", "pyyaml", "pytest", "starlette"),
]
SLUGS_TO_RENDER = ["a", "class", "email", "test", "app", "tests", "alembic-demo", "x1"]
DESCRIPTIONS_TO_REFUSE = [
    *(
        "",
        " ",
        " a",
        "a ",
        "a\n",
        "a\nb",
        "a\rb",
        "a\tb",
        "x" * 201,
        "nul\x00",
        "\x1b[1m",
    ),
    *("a\x7fb", "a\x85b", "a\u2028b", "a\u2029b", "\ufeffa"),
]
DESCRIPTIONS_TO_RENDER = [
    *(
        'Says "hello".',
        "It's fine.",
        "'\"' and \"'\"",
        '"""',
        "'''",
        "\\",
        "a\\",
        '\\"',
    ),
    *(
        "{{ 7 * 7 }}",
        "{% raw %}",
        "# {% if x %}",
        "${HOME}",
        "$(id)",
        "`id`",
        "%(here)s",
    ),
    *(
        "key: value",
        "- item",
        "* item",
        "+ item",
        "# title",
        "> quote",
        "1. first",
        "2) b",
    ),
    *(
        "---",
        "===",
        "~~~",
        "| a | b |",
        "&amp;",
        "<script>alert(1)</script>",
        "<!-- x -->",
    ),
    *("[a](b)", "![a](b)", "*a* _b_ **c**", "a\\nb", "\\u0041", "null", "true", "0x10"),
    *(
        "Rocket 🚀",
        "Größe, ñandú, 数据",
        "!!python/object",
        "&a *a",
    ),
    *(
        "x" * 200,
        "数" * 100,
        '"' * 60,
        "y" * 57,
        "y" * 65,
        "{" * 9,
        "@app",
        "?",
        "100 %",
    ),
]


def answer(template: Path, target: Path, **answers: object) -> Project:
    """Render as `copier copy --defaults --data` does, without trusting the template."""
    copier.run_copy(
        str(template), target, data=answers, defaults=True, quiet=True, unsafe=False
    )
    return Project(target)
