"""The client for pages as it is served: to be imported from anywhere, and kept as long as it is
the same. What it does is tested in tests/browsers."""

import re

import httpx
import pytest

from tests.processes import ROOT

PAGE = {"Origin": "https://app.example"}
SOURCE = ROOT / "server" / "client"
MOST_BYTES = 12 * 1024


def test_pages_of_any_origin_may_import_it(client: httpx.Client) -> None:
    for headers in ({}, PAGE):  # what one gets without an Origin a cache gives to the other
        reply = client.get("/client.js", headers=headers)
        assert (reply.status_code, reply.content) == (200, (SOURCE / "client.js").read_bytes())
        assert reply.headers["content-type"] == "text/javascript; charset=utf-8"
        assert reply.headers["access-control-allow-origin"] == "*"
        assert reply.headers["cross-origin-resource-policy"] == "cross-origin"
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert "vary" not in reply.headers


def test_it_is_small_and_safe_under_a_strict_policy(client: httpx.Client) -> None:
    text = client.get("/client.js").text
    assert len(text.encode()) <= MOST_BYTES
    assert not re.search(r"^import |\bimport\(|\beval\(|\bFunction\(|innerHTML", text, re.MULTILINE)


def test_who_has_it_gets_no_copy(client: httpx.Client) -> None:
    first = client.get("/client.js")
    assert first.headers["cache-control"] == "no-cache"
    etag = first.headers["etag"]
    for given in (etag, f'"other", W/{etag}', "*"):
        again = client.get("/client.js", headers={**PAGE, "If-None-Match": given})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == etag
        assert again.headers["access-control-allow-origin"] == "*"
    assert client.get("/client.js", headers={"If-None-Match": '"other"'}).status_code == 200


def test_this_version_is_kept_for_good_and_no_other_in_its_place(client: httpx.Client) -> None:
    version = client.get("/client.js").headers["etag"].strip('"')
    assert f"/client.js?v={version}" in client.get("/docs").text
    kept = client.get("/client.js", params={"v": version})
    assert kept.headers["cache-control"] == "public, max-age=31536000, immutable"
    for other in ("0" * 40, "", version[:-1]):
        reply = client.get("/client.js", params={"v": other})
        assert (reply.status_code, reply.headers["cache-control"]) == (200, "no-cache")


def test_its_types_are_served_beside_it(client: httpx.Client) -> None:
    reply = client.get("/client.d.ts", headers=PAGE)
    assert (reply.status_code, reply.content) == (200, (SOURCE / "client.d.ts").read_bytes())
    assert reply.headers["access-control-allow-origin"] == "*"
    exported = r"^export (?:async )?(?:function|class) (\w+)"
    declared = set(re.findall(exported, reply.text, re.MULTILINE))
    assert declared == set(re.findall(exported, client.get("/client.js").text, re.MULTILINE))


@pytest.mark.parametrize("path", ["/client.js", "/client.d.ts"])
def test_other_methods(client: httpx.Client, path: str) -> None:
    head = client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) == len(client.get(path).content)
    assert client.post(path).status_code == 405
