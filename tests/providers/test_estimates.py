"""The estimates stay near what tokenizers count.

token_samples.json has texts with their tokens in two of OpenAI's encodings, o200k_base
(GPT-4o and later) and cl100k_base (GPT-4, and nearer to what other providers' tokenizers make of
languages other than English).
"""

from pathlib import Path
from typing import Any

import orjson
import pytest

from server.providers.estimate import Output, Prompt, measure

SAMPLES: list[dict[str, Any]] = orjson.loads(
    Path(__file__).with_name("token_samples.json").read_bytes()
)
# What OpenAI adds to the content of a single message.
OF_A_MESSAGE = 7
# Random digits and letters are what no rule by size can foresee.
DENSE = {"numbers", "hexadecimal"}
CASES = [
    pytest.param(sample, encoding, id=f"{sample['kind']} {encoding}")
    for sample in SAMPLES
    for encoding in ("o200k", "cl100k")
]


@pytest.mark.parametrize(("sample", "encoding"), CASES)
def test_prompt(sample: dict[str, Any], encoding: str) -> None:
    """At most 20 % too low (40 % for dense text), at most three times too high."""
    prompt = measure({"messages": [{"role": "user", "content": sample["text"]}]})
    ratio = prompt.tokens(0) / (sample[encoding] + OF_A_MESSAGE)
    assert (0.6 if sample["kind"] in DENSE else 0.8) <= ratio <= 3


@pytest.mark.parametrize(("sample", "encoding"), CASES)
def test_output(sample: dict[str, Any], encoding: str) -> None:
    """Nearer to the truth than a prompt's; and never more certain than can be."""
    output = Output()
    for word in sample["text"].split(" "):
        output.add(word + " ")
    assert 0.4 <= output.tokens / sample[encoding] <= 2.5
    assert not output.exceeds(sample[encoding])


def test_english_and_code_need_no_more_than_is_estimated() -> None:
    for sample in SAMPLES:
        if sample["kind"] in ("English", "German", "French", "Python", "JSON"):
            prompt = measure({"messages": [{"role": "user", "content": sample["text"]}]})
            assert prompt.tokens(0) >= sample["cl100k"] + OF_A_MESSAGE, sample["kind"]


IMAGE = "data:image/png;base64," + "A" * 30_000
PDF = {"type": "base64", "media_type": "application/pdf", "data": "A" * 30_000}


def first_unbounded(prompt: Prompt) -> str:
    return next(iter(prompt.unbounded_paths), "")


def prompt_of(part: dict[str, Any], **members: Any) -> Any:
    content = [{"type": "text", "text": "Look"}, part]
    return measure({"messages": [{"role": "user", "content": content}], **members})


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": IMAGE}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": IMAGE}},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
        {
            "type": "tool_result",
            "tool_use_id": "t",
            "content": [{"type": "image", "source": {"type": "base64", "data": IMAGE}}],
        },
        {
            "type": "document",
            "source": {
                "type": "content",
                "content": [{"type": "image", "source": {"type": "base64", "data": IMAGE}}],
            },
        },
    ],
)
def test_an_image_counts_as_one_whatever_its_size(part: dict[str, Any]) -> None:
    prompt = prompt_of(part)
    assert first_unbounded(prompt) == ""
    assert 1_600 < prompt.tokens(1_600) < 1_700


@pytest.mark.parametrize(
    "part",
    [
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        {"type": "document", "source": PDF},
        {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}},
        {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
        {"type": "container_upload", "file_id": "file_1"},
        {"type": "tool_result", "content": [{"type": "document", "source": PDF}]},
        {"type": "file", "role": "user", "file": {"file_id": "file-1"}},
        {"type": "video_url", "video_url": {"url": "https://example.com/a.mp4"}},
        {"type": "audio_url", "audio_url": {"url": "https://example.com/a.mp3"}},
        {"type": "document_url", "document_url": "https://example.com/a.pdf"},
        {"type": "input_file", "file_url": "https://example.com/a.pdf"},
        {"type": "video", "video": ["https://example.com/a.jpg"]},
        {"type": "Input_Audio", "input_audio": {"data": "AAAA"}},
        {"video_url": {"url": "https://example.com/a.mp4"}},
        {"input_audio": {"data": "AAAA", "format": "wav"}},
        {"type": "text", "text": "a", "file": {"file_data": "AAAA"}},
        {"type": "image_url", "image_url": {"url": "data:application/pdf;base64,AAAA"}},
        {"type": "image_url", "image_url": "DATA:video/mp4;base64,AAAA"},
        {"type": "tool_result", "content": [{"type": "video_url", "video_url": "https://a.b"}]},
    ],
)
def test_what_nobody_can_bound_is_named(part: dict[str, Any]) -> None:
    assert first_unbounded(prompt_of(part)).startswith("messages.0.content.1")


@pytest.mark.parametrize(
    ("members", "unbounded"),
    [
        ({"tools": [{"type": "function"}, {"type": "custom"}, {"name": "of Anthropic"}]}, ""),
        ({"tools": [{"type": "bash_20250124"}]}, ""),
        ({"tools": [{"type": "function"}, {"type": "web_search_20250305"}]}, "tools.1"),
        ({"tools": [{"type": "code_execution_20250825"}]}, "tools.0"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"web_search_options": None}, ""),
        ({"mcp_servers": [{"url": "https://example.com"}]}, "mcp_servers"),
        ({"container": {"skills": []}}, "container"),
        ({"tools": [{"googleSearch": {}}]}, "tools.0"),
        ({"tools": [{"function": {"name": "f"}}, {"code_execution": {}}]}, "tools.1"),
        ({"tools": ["web_search"]}, "tools.0"),
        ({"tools": {"type": "web_search"}}, "tools"),
        ({"tools": None}, ""),
        ({"tools": []}, ""),
    ],
)
def test_tools_that_run_at_the_provider(members: dict[str, Any], unbounded: str) -> None:
    assert first_unbounded(prompt_of({"type": "text", "text": ""}, **members)) == unbounded


def test_a_part_that_stands_alone_and_audio_of_earlier_answers() -> None:
    alone = {"role": "user", "content": {"type": "file", "file": {"file_id": "file-1"}}}
    assert first_unbounded(measure({"messages": [alone]})) == "messages.0.content.0"
    spoken = {"role": "assistant", "content": "Hi", "audio": {"id": "audio_1"}}
    assert first_unbounded(measure({"messages": [spoken]})).startswith("messages.0")
    assert first_unbounded(measure({"messages": [spoken | {"audio": None}]})) == ""


@pytest.mark.parametrize(
    "part",
    [
        {"type": "input_image", "image_url": "https://example.com/a.png"},
        {"image_url": {"url": "https://example.com/a.png"}},
        {"type": "Image", "image": "https://example.com/a.png"},
    ],
)
def test_an_image_is_one_by_whatever_name(part: dict[str, Any]) -> None:
    assert (prompt_of(part).attachments, first_unbounded(prompt_of(part))) == (1, "")
