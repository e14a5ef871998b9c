"""A delta of audio that is not parsed counts as it would if it were."""

from itertools import product

import orjson
import pytest

from server.providers.reading import parse
from server.voice.audio import decoded
from server.voice.events import name_of
from server.voice.spoken import AUDIO, spoken

AUDIO_TEXT = "A" * 6_398 + "=="
USUAL = (
    f'{{"type":"{AUDIO}","event_id":"event_1","response_id":"resp_1","item_id":"item_1",'
    f'"output_index":0,"content_index":0,"delta":"{AUDIO_TEXT}"}}'
)


def by_parser(text: bytes) -> tuple[str, int] | None:
    """None for what is no delta of audio. Raises orjson.JSONDecodeError."""
    event = parse(text)
    if type(event) is not dict or event.get("type") != AUDIO:
        return None
    delta = event.get("delta")
    heard = decoded(delta) if isinstance(delta, str) else 0
    return name_of(event.get("response_id")), heard


def test_the_usual_one_is_not_parsed() -> None:
    assert spoken(USUAL.encode()) == ("resp_1", 4_798) == by_parser(USUAL.encode())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '"delta"',
        USUAL[:-1],
        USUAL[:-2],
        USUAL + "}",
        USUAL + " ",
        USUAL[:-1] + ',"response_id":"resp_2"}',
        USUAL[:-1] + ',"delta":"AAAA"}',
        USUAL[:-1] + ',"type":"response.done"}',
        USUAL.replace('"delta"', '"delt\\u0061"'),
        USUAL.replace("AAAA", "A\\u0041", 1),
        USUAL.replace("AAAA", 'A\\"}', 1),
        USUAL.replace("A==", 'A\\"'),
        USUAL.replace("resp_1", "resp\\u005f2"),
        USUAL.replace("AAAA", "é", 1),
        USUAL.replace("item_1", "é"),
        USUAL.replace("item_1", "x" * 2_000),
        USUAL.replace("resp_1", "x" * 101),
        USUAL.replace('"resp_1"', "17"),
        USUAL.replace('"response_id":"resp_1",', ""),
        USUAL.replace("output_audio", "output_text"),
        f'{{"delta":"{AUDIO_TEXT}","type":"{AUDIO}"}}',
        f'[{{"type":"{AUDIO}","delta":"{AUDIO_TEXT}"}}]',
        f'{{"type":"{AUDIO}","x":{{"y":1,"delta":"{AUDIO_TEXT}"}}}}',
        f'{{"type":"{AUDIO}","x":["y","delta":"{AUDIO_TEXT}"}}',
        f'{{"type":"{AUDIO}","x":"y,"delta":"{AUDIO_TEXT}"}}',
        f'{{"type":"{AUDIO}","x":",","delta":"{AUDIO_TEXT}"}}',
        f'{{"type":"{AUDIO}","delta":"AAAA","delta":"{AUDIO_TEXT}"}}',
        f'{{"type":"{AUDIO}","delta":5,"delta":"{AUDIO_TEXT}"}}',
        f'{{"type":"x","type":"{AUDIO}","delta":"{AUDIO_TEXT}"}}',
        f'{{"type":"{AUDIO}","type":"x","delta":"{AUDIO_TEXT}"}}',
        f'{{"type":"{AUDIO}",,"delta":"{AUDIO_TEXT}"}}',
        f'{{,"delta":"{AUDIO_TEXT}"}}',
        f'{{"type":"{AUDIO}","response_id":"a","response_id":"b","delta":""}}',
    ],
)
def test_others_are_parsed_or_count_alike(text: str) -> None:
    check(text.encode())


def test_what_is_not_utf_8_is_no_json() -> None:
    check(USUAL.encode().replace(b"AAAA", b"\xff", 1))
    check(USUAL.encode().replace(b"AAAA", b"\xed\xa0\x80", 1))
    check(USUAL.encode().replace(b"item_1", b"\xff", 1))


def test_all_arrangements_of_a_few_pieces() -> None:
    pieces = ("{", "}", '"type":', f'"{AUDIO}"', ',"delta":', '"AAAA"', '"\\"', ",")
    for size in range(1, 7):
        for some in product(pieces, repeat=size):
            check(("{" + "".join(some)).encode())


def check(text: bytes) -> None:
    try:
        found = spoken(text)
    except ValueError:
        with pytest.raises(orjson.JSONDecodeError):
            parse(text)
        return
    if found is not None:
        assert found == by_parser(text), text
