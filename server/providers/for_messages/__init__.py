"""For clients of Anthropic's messages: what they send and get, where the endpoint speaks OpenAI's
chat completions."""
