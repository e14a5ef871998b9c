"""The pages of docs/voice.md as they are there: a microphone is heard, the balance falls, and the
page says when it is used up."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.browsers.browser import Browser
from tests.browsers.site import Site
from tests.node import Node
from tests.processes import ROOT
from tests.voice_clients.callers import Caller
from tests.voice_clients.test_chromium import SECONDS, TOKENS, write_speech

DOCS = (ROOT / "docs" / "voice.md").read_text()
COMMON, AGENTS, PLAIN, _ = re.findall(r"```js\n(.*?)```", DOCS, re.DOTALL)
WAYS = {"agents": AGENTS, "plain": PLAIN}
LAST = {"agents": "insufficient_quota", "plain": "closed: 4402"}
"""What such a page shows last."""
TELL = """\
localStorage.apiKey = %s;
const shown = [];
let isOver = false;
console.log = (...words) => {
  shown.push(words.join(" "));
  if (isOver || !shown.at(-1).startsWith(%s)) return;
  isOver = true;
  fetch("/found", { method: "POST", body: JSON.stringify({ shown, state: sound.state }) });
};
"""


@pytest.mark.parametrize("way", WAYS)
def test_the_documented_page(
    node: Node, new_caller: Callable[..., Caller], way: str, tmp_path: Path
) -> None:
    caller = new_caller(TOKENS)
    common = COMMON.replace("https://vibe.example/abc", caller.base_url.removesuffix("/v1"))
    script = TELL % (json.dumps(caller.user.api_key), json.dumps(LAST[way]))
    script += common.replace("gpt-realtime-2.1", caller.model) + WAYS[way]
    (node.folder / "documented.js").write_text(script)
    esbuild = str(node.folder / "node_modules" / ".bin" / "esbuild")
    options = ["--bundle", "--format=esm", "--platform=browser", f"--outfile={way}.js"]
    node.run([esbuild, "documented.js", *options])
    page = f'<!doctype html><script type="module" src="{way}.js"></script>'
    (node.folder / f"{way}.html").write_text(page)
    write_speech(tmp_path / "speech.wav")
    microphone = [
        *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"),
        f"--use-file-for-fake-audio-capture={tmp_path / 'speech.wav'}",
        "--autoplay-policy=no-user-gesture-required",
    ]
    with Site(node.folder) as site:
        address = f"{site.origin}/{way}.html"
        with Browser("chromium", tmp_path, address, *microphone):
            found = site.found(SECONDS)
    left = [int(one.removeprefix("left: ")) for one in found["shown"] if one.startswith("left: ")]
    assert min(left) < max(left) // 2 < TOKENS // 2
    assert caller.user.balance()["tokensLeft"] < TOKENS // 4
    assert "insufficient_quota Payment Required" in found["shown"]
    assert found["state"] == "running"
