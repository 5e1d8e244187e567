"""Models behind HTTP: OpenAI's chat completions, Anthropic's messages and Gemini's generateContent over one client."""
