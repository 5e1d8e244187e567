"""Any endpoint that speaks the OpenAI chat completions format: hosted, on premises or on this machine."""
