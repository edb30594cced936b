"""Bodies made to break the server: each is answered with what is wrong, soon."""

from __future__ import annotations

import base64
import io
import json
import socket
import time
import unicodedata
from collections.abc import Iterator
from typing import Any

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from ecurie.catalog.catalog import BUILTIN, Catalog
from ecurie.images.formats import Provenance, write_image
from ecurie.jobs.store import JobStore
from ecurie.requests.body import GenerateBody
from ecurie.service import Service
from tests.unit.api.serving import make_app, make_service
from tests.unit.images.pictures import bomb, large_webp, plain, saved, text_bomb

ROUTES = ["/generate", "/prompt/preview", "/replay", "/sweeps"]
LONGEST_SECONDS = 2.0
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("hostile")
    store = JobStore(f"sqlite:///{folder / 'jobs.db'}")
    yield make_service(Catalog(BUILTIN["demo"], folder), store, folder, max_queue=10_000)
    store.close()


@pytest.fixture(scope="module")
def client(service: Service) -> Iterator[TestClient]:
    app = make_app(service, max_upload_bytes=10_000_000)
    with TestClient(app, base_url="http://localhost:8009", raise_server_exceptions=False) as made:
        made.post("/prompt/preview", json={"prompt": "(warm)1.1"})
        yield made


def post(client: TestClient, path: str, content: str | bytes) -> Response:
    """Its answer, which came soon."""
    began = time.process_time()
    answer: Response = client.post(path, content=content, headers=JSON)
    assert time.process_time() - began < LONGEST_SECONDS
    return answer


def problem(answer: Response, *statuses: int) -> dict[str, Any]:
    assert answer.status_code in statuses, answer.text[:500]
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert len(answer.text) < 2000
    told: dict[str, Any] = answer.json()
    return told


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize(
    "content",
    [
        "[" * 100_000 + "]" * 100_000,
        "[" * 100_000,
        '{"prompt":' * 100_000 + "1" + "}" * 100_000,
        '{"prompt":' + "[" * 900 + "]" * 900 + "}",
        '{"prompt":' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"prompt":"x","seed":' + "9" * 5000 + "}",
        "{" + ",".join(f'"k{number}":1' for number in range(1_000_000)) + "}",
        "[" + "0," * 3_000_000 + "0]",
        '{"prompt":"x","loras":[' + "{}," * 2_000_000 + "{}]}",
        '{"prompt":"x","reference_images":[' + "1," * 40_000 + "1]}",
        '{"prompt":"x","loras":[{"name":"a","blocks":{'
        + ",".join(f'"k{n}":1' for n in range(40_000))
        + "}}]}",
        '{"prompt":"x","' + "k" * 500_000 + '":1}',
        b"\xff\xfe",
        b"\x00",
        ("[" + "0," * 1_000_000 + "0]").encode("utf-16"),
        b'{"prompt":"\xff"}',
        "{",
        "null",
        '"x"',
    ],
    ids=lambda content: str(content[:24]),
)
def test_json_bombs_are_refused_soon(client: TestClient, path: str, content: str | bytes) -> None:
    problem(post(client, path, content), 400, 422)


@pytest.mark.parametrize(
    "number", ["NaN", "Infinity", "-Infinity", "1e309", "-1e309", "1e999999999", "9" * 400]
)
@pytest.mark.parametrize("field", [*GenerateBody.model_fields])
def test_numbers_that_are_none_are_refused_in_every_field(
    client: TestClient, service: Service, field: str, number: str
) -> None:
    before = service.store.counts()
    for path in ("/generate", "/prompt/preview"):
        given = {"prompt": '"x"', field: number}
        body = "{" + ",".join(f'"{name}":{value}' for name, value in given.items()) + "}"
        problem(post(client, path, body), 422)
    assert service.store.counts() == before


@pytest.mark.parametrize("number", ["NaN", "1e309", "9" * 400, "-" + "9" * 400])
@pytest.mark.parametrize(
    "body",
    [
        '{"prompt":"x","loras":[{"name":"style-anime","weight":%s}]}',
        '{"prompt":"x","loras":[{"name":"style-anime","unet":%s}]}',
        '{"prompt":"x","loras":[{"name":"style-anime","blocks":{"IN":%s}}]}',
        '{"prompt":"x","loras":[{"name":"style-anime","blocks":[%s,1,1,1,1,1,1,1,1,1,1,1]}]}',
        '{"prompt":"x","hires":{"scale":%s}}',
        '{"prompt":"x","hires":{"steps":%s}}',
        '{"prompt":"x","reference_images":[%s]}',
    ],
)
def test_nor_within_fields(client: TestClient, body: str, number: str) -> None:
    problem(post(client, "/generate", body % number), 422)
    sweep = f'{{"request":{body % number},"x":{{"field":"seed","values":[1]}}}}'
    problem(post(client, "/sweeps", sweep), 422)


@pytest.mark.parametrize("number", ["NaN", "inf", "1e309", "9" * 400, "-1", "0x10"])
def test_nor_in_the_query(client: TestClient, number: str) -> None:
    assert problem(client.get(f"/jobs?limit={number}"), 422)["field"] == "limit"
    answer = client.post(f"/generate?wait={number}", json={"prompt": "x"})
    assert problem(answer, 422)["field"] == "wait"


def test_minus_zero_is_zero(client: TestClient) -> None:
    told = post(client, "/generate", '{"prompt":"x","seed":-0,"strength":null,"quality":90}').json()
    assert told["request"]["seed"] == 0


@pytest.mark.parametrize("count", [0, -1, 17, 10**9, 10**400])
def test_more_images_than_sixteen_are_refused(client: TestClient, count: int) -> None:
    assert problem(post(client, "/generate", f'{{"prompt":"x","num_images":{count}}}'), 422)["field"] == (
        "num_images"
    )


@pytest.mark.parametrize("length", [101, 31_623])
def test_sweeps_of_a_billion_cells_are_refused(client: TestClient, length: int) -> None:
    values = list(range(length))
    axes = {axis: {"field": field, "values": values} for axis, field in (("x", "seed"), ("y", "steps"))}
    problem(post(client, "/sweeps", json.dumps({"request": {"prompt": "x"}, **axes})), 400, 422)


def test_of_two_equal_names_the_last_counts(client: TestClient) -> None:
    told = post(client, "/generate", '{"prompt":"first","prompt":"second","seed":1,"seed":2}').json()
    assert (told["request"]["prompt"], told["request"]["seed"]) == ("second", 2)


HALF = "\\ud800"


@pytest.mark.parametrize(
    "body",
    [
        '{"prompt":"%s"}',
        '{"prompt":"x","negative_prompt":"%s"}',
        '{"prompt":"x","model":"%s"}',
        '{"prompt":"x","scheduler":"%s"}',
        '{"prompt":"x","preset":"%s"}',
        '{"prompt":"x","ip_adapter":"%s","reference_images":["a"]}',
        '{"prompt":"x","format":"%s"}',
        '{"prompt":"x","init_image":"%s"}',
        '{"prompt":"x","mask":"%s"}',
        '{"prompt":"x","reference_images":["%s"]}',
        '{"prompt":"x","loras":[{"name":"%s"}]}',
        '{"prompt":"x","loras":[{"name":"style-anime","blocks":{"%s":1}}]}',
        '{"prompt":"x","%s":1}',
    ],
)
@pytest.mark.parametrize("text", [HALF, "\\udfff\\ud800", "a\\u0000b", "\\u202e\\u0000"])
def test_text_that_cannot_be_kept_is_refused(client: TestClient, body: str, text: str) -> None:
    problem(post(client, "/generate", body % text), 404, 422)
    sweep = f'{{"request":{{"prompt":"x"}},"x":{{"field":"prompt_replace","values":["x","{text}"]}}}}'
    problem(post(client, "/sweeps", sweep), 422)


@pytest.mark.parametrize(
    "prompt",
    [
        "e\u0301",
        "\u202eelppa",
        "red\u2028apple\u2029",
        "😀" * 2500,
        "\ufeffapple",
        "İıſ",
        "ﷺ" * 3000,
        "a" + "\u0301" * 9000,
        "<script>alert(1)</script>",
        "\x1b[31mred",
        "a\r\nSet-Cookie: a=b",
    ],
)
def test_any_other_text_is_kept_to_the_letter(client: TestClient, prompt: str) -> None:
    answer = post(client, "/generate", json.dumps({"prompt": prompt}))
    assert answer.status_code == 202
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "set-cookie" not in answer.headers
    assert client.get(answer.json()["status_url"]).json()["request"]["prompt"] == prompt


@pytest.mark.parametrize(
    "name",
    [
        "SDXL-BASE",
        "sdxl\u2010base",
        "sdxl-base ",
        "ſdxl-base",
        "sdxl-ba\u00adse",
        "../sdxl-base",
        "sdxl-base\r\n",
    ],
)
def test_an_id_is_itself_alone(client: TestClient, name: str) -> None:
    """No folding of case, no normal form, nothing stripped."""
    assert unicodedata.normalize("NFKC", name).casefold() != name or name != "sdxl-base"
    assert problem(post(client, "/generate", json.dumps({"prompt": "x", "model": name})), 404, 422)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as opened:
        opened.settimeout(0.05)
        yield opened


@pytest.mark.parametrize(
    "form", ["http://127.0.0.1:{}/a.png", "http://2130706433:{}/a.png", "//127.0.0.1:{}/a.png"]
)
@pytest.mark.parametrize(
    "field", ["init_image", "mask", "reference_images", "model", "loras", "preset", "ip_adapter"]
)
def test_no_address_of_a_client_is_fetched(
    client: TestClient, listener: socket.socket, form: str, field: str
) -> None:
    url = form.format(listener.getsockname()[1])
    picture = client.post("/images", content=saved(plain(64, 64))).json()["id"]
    given: dict[str, Any] = {"prompt": "x", "reference_images": [picture], "init_image": picture}
    given[field] = {"reference_images": [url], "loras": [{"name": url}]}.get(field, url)
    told = problem(client.post("/generate", json=given), 404, 422)
    assert field.removesuffix("s") in str(told.get("field", told["code"])).replace("-", "_") or told["code"]
    if field in ("init_image", "mask", "reference_images"):
        assert "addresses are not fetched" in told["remedy"]
    with pytest.raises(TimeoutError):
        listener.accept()


@pytest.mark.parametrize("manifest", ["[" * 100_000, '{"request":' * 80_000, '{"a":1e999}', "null", "\u2028"])
@pytest.mark.parametrize("image_format", ["png", "webp", "jpeg"])
def test_a_hostile_manifest_in_an_image_is_refused(
    client: TestClient, image_format: str, manifest: str
) -> None:
    file = io.BytesIO()
    write_image(file, plain(8, 8), image_format, 90, Provenance("a\nSteps: 1", manifest))
    problem(post(client, "/replay", file.getvalue()), 422)


@pytest.mark.parametrize(
    "content",
    [
        bomb(),
        text_bomb(),
        large_webp(),
        saved(plain(20_000, 2), "GIF"),
        saved(plain(20_000, 2), "TIFF"),
        saved(plain(), "BMP"),
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        b"PK\x03\x04" + bytes(1000),
        b"RIFF\xff\xff\xff\xffWEBPVP8X" + bytes(100),
        b"\x89PNG\r\n\x1a\n" + b"\0\0\0\0IDAT" * 5000,
        b"\xff\xd8" + b"\xff\xe1\xff\xff" + bytes(65_533),
    ],
    ids=["19000x19000", "zTXt", "webp", "gif", "tiff", "bmp", "svg", "eps", "zip", "riff", "idat", "app1"],
)
def test_a_file_made_to_swell_is_refused_everywhere(client: TestClient, content: bytes) -> None:
    problem(post(client, "/images", content), 413, 422)
    problem(post(client, "/replay", content), 413, 422)
    coded = base64.b64encode(content).decode()
    for field in ("init_image", "mask"):
        given = {"prompt": "x", "init_image": coded, field: coded}
        problem(post(client, "/generate", json.dumps(given)), 413, 422)


@pytest.mark.parametrize("size", [(1, 1), (100_000, 1), (1, 100_000)])
def test_a_picture_of_any_shape_is_taken(client: TestClient, size: tuple[int, int]) -> None:
    answer = client.post("/images", content=saved(plain(*size)))
    assert (answer.status_code, answer.json()["width"], answer.json()["height"]) == (201, *size)
    asked = {"prompt": "x", "init_image": answer.json()["id"]}
    drawn = client.post("/generate", json=asked | {"width": 64, "height": 128})
    assert drawn.status_code == 202
    # Of its own shape, as far as the model draws that.
    if size == (1, 1):
        assert client.post("/generate", json=asked).json()["request"]["width"] == 64
    else:
        assert "may draw" in problem(client.post("/generate", json=asked), 422)["detail"]


def test_a_header_of_sixty_thousand_spaces_takes_no_time(client: TestClient, service: Service) -> None:
    url = client.post("/images", content=saved(plain(5, 5))).json()["url"]
    began = time.process_time()
    answer = client.get(url, headers={"if-none-match": '"a"' + " " * 60_000 + '"b"'})
    assert (answer.status_code, time.process_time() - began < LONGEST_SECONDS) == (200, True)


def test_a_sweep_reads_each_adapter_and_each_picture_once(client: TestClient) -> None:
    """A hundred cells of sixty adapters and eight pictures took minutes."""
    pictures = [client.post("/images", content=saved(plain(999, 991 + n))).json()["id"] for n in range(8)]
    stack = [{"name": "cyberpunk-style", "weight": 0.1}] * 60
    body = {
        "request": {"prompt": "x", "loras": stack, "reference_images": pictures},
        "x": {"field": "seed", "values": list(range(100))},
    }
    began = time.process_time()
    assert post(client, "/prompt/preview", json.dumps(body["request"])).status_code == 200
    assert client.post("/sweeps", json=body).status_code == 202
    assert time.process_time() - began < 5
