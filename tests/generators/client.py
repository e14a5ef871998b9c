"""What an app does with the client that openapi-python-client makes: client.py <URL> <tenant>.

Imports all of it, and prints what client.ts prints.
"""

import json
import sys
from importlib import import_module
from pkgutil import walk_packages

import vibe_server_client
from vibe_server_client import AuthenticatedClient, Client
from vibe_server_client.api.gateway import chat, list_models
from vibe_server_client.api.login import log_in
from vibe_server_client.api.metering import charge
from vibe_server_client.models import (
    AnthropicModelList,
    Charge,
    Charged,
    Error,
    Login,
    ModelList,
    NewChatCompletion,
    NewChatCompletionMessagesItem,
    OpenAiError,
)

for module in walk_packages(vibe_server_client.__path__, "vibe_server_client."):
    import_module(module.name)

url, tenant = sys.argv[1:]
login = log_in.sync(tenant, client=Client(base_url=url))
assert isinstance(login, Login)
client = AuthenticatedClient(base_url=url, token=login.api_key)

models = list_models.sync(tenant, client=client)
assert isinstance(models, ModelList)
of_anthropic = list_models.sync(tenant, client=client, anthropic_version="2023-06-01")
assert isinstance(of_anthropic, AnthropicModelList)

charged = charge.sync(tenant, client=client, body=Charge(tokens=60))
assert isinstance(charged, Charged)
refusals = {
    "unpaid": charge.sync(tenant, client=client, body=Charge(tokens=60)),
    "invalid": charge.sync(tenant, client=client, body=Charge(tokens=-1)),
    "nowhere": chat.sync("nobody", client=client, body=NewChatCompletion(messages=[])),
}
assert all(isinstance(refusal, Error) for refusal in refusals.values()), refusals

said = NewChatCompletionMessagesItem.from_dict({"role": "user", "content": "long " * 100})
unpaid_call = chat.sync(tenant, client=client, body=NewChatCompletion(messages=[said]))
assert isinstance(unpaid_call, OpenAiError)

found = {
    "models": [model.id for model in models.data],
    "ofAnthropic": [model.id for model in of_anthropic.data],
    "left": charged.tokens_left,
    **{name: refusal.to_dict() for name, refusal in refusals.items()},
    "unpaidCall": unpaid_call.error.code,
}
print(json.dumps(found))
