"""A client that a standard generator makes from the document works on the service."""

import pytest

from tests.harness.project import Project
from tests.harness.types import Render

PROGRAM = """
from client import Client
from client.api.items import (
    create_item,
    create_note,
    delete_item,
    get_item,
    list_items,
    list_notes,
    update_item,
)
from client.models import ItemCreate, ItemUpdate, ListItemsSort, NoteCreate

with Client(base_url="{url}") as client:
    for number in range(3):
        new = ItemCreate(name=f"Lamp {{number}}", quantity=number)
        key = f"key-{{number}}"
        created, again = (
            create_item.sync_detailed(client=client, body=new, idempotency_key=key)
            for _ in range(2)
        )
        assert created.status_code == again.status_code == 201
        assert created.parsed == again.parsed
        assert created.headers["ETag"] == again.headers["ETag"]

    names, cursor = [], None
    while not names or cursor:
        page = list_items.sync(
            client=client, limit=2, sort=ListItemsSort("-quantity"), cursor=cursor
        )
        names += [item.name for item in page.items]
        cursor = page.next_
    assert names == ["Lamp 2", "Lamp 1", "Lamp 0"], names

    item, etag = created.parsed, created.headers["ETag"]
    known = get_item.sync_detailed(item.id, client=client, if_none_match=etag)
    assert known.status_code == 304
    changed, stale = (
        update_item.sync_detailed(
            item.id, client=client, body=ItemUpdate(quantity=9), if_match=etag
        )
        for _ in range(2)
    )
    assert (changed.status_code, changed.parsed.quantity) == (200, 9)
    assert (stale.status_code, stale.parsed.title) == (412, "Precondition Failed")

    note = create_note.sync(item.id, client=client, body=NoteCreate(text="Dim."))
    assert list_notes.sync(item.id, client=client) == [note]
    wrong = create_item.sync(client=client, body=ItemCreate(name=""))
    assert wrong.errors[0].loc == ["body", "name"]
    gone = delete_item.sync_detailed(
        item.id, client=client, if_match=changed.headers["ETag"]
    )
    assert gone.status_code == 204
print("done")
"""


@pytest.fixture(scope="module")
def project(installed: Render) -> Project:
    return installed()


def test_a_generated_client_uses_every_operation_of_the_example(
    project: Project, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = Project(tmp_path_factory.mktemp("client"))
    document = project.path / "openapi.json"
    generate = ("uvx", "--quiet", "openapi-python-client>=0.29", "generate")
    to = ("--meta", "none", "--output-path", "client", "--fail-on-warning")

    directory.run(*generate, "--path", str(document), *to)
    with project.serve() as client:
        program = PROGRAM.format(url=client.base_url)
        (directory.path / "program.py").write_text(program)
        needed = [f"--with={name}" for name in ("httpx", "attrs", "python-dateutil")]
        output = directory.run(
            "uv", "run", "--quiet", "--no-project", *needed, "program.py"
        ).stdout

    assert output.splitlines()[-1] == "done"
