"""What each app is given and prints.

An app is one file that is run with a JSON list of calls; each has `base_url` (without /v1), `key`,
`model` and `prompts`, one for each act that is wanted: `text`, `stream`, `tool`, `schema`. It
prints a list of what came of them, by the act: a text, or the `failed` of its exception. It sets
nothing that its user would not have to: retries, paths and formats are the client's own.
"""

import json
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

WEATHER = "Tells the temperature in a city."


@dataclass(frozen=True)
class Call:
    base_url: str
    key: str
    model: str
    prompts: Mapping[str, str]

    @property
    def url(self) -> str:
        """As OpenAI's clients take it."""
        return f"{self.base_url}/v1"


Act = Callable[[Call, str], Any]


def run(**acts: Act) -> None:
    calls = [Call(**given) for given in json.loads(sys.argv[1])]
    print(json.dumps([_all(acts, call) for call in calls]))


def _all(acts: Mapping[str, Act], call: Call) -> dict[str, Any]:
    return {name: _one(acts[name], call, prompt) for name, prompt in call.prompts.items()}


def _one(act: Act, call: Call, prompt: str) -> Any:
    try:
        return act(call, prompt)
    except Exception as error:
        traceback.print_exc()
        return {"failed": f"{type(error).__name__}: {error}"}
