"""For clients of OpenAI's responses: what they send and get, where the endpoint speaks chat
completions or Anthropic's messages."""
