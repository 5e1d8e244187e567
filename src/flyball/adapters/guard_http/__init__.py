"""Guards that ask a service over HTTP: Lakera Guard, and Llama Guard behind chat completions."""
