"""For clients of OpenAI's chat completions: what they send and get, where the endpoint speaks
Anthropic's messages."""
