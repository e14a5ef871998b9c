"""Voice: sessions of OpenAI's Realtime API, metered while people speak.

No response exists upstream without an open hold for it: the gateway creates each (responses.py),
also those that the provider would begin by itself when somebody stops speaking.
"""
