"""OTLP over HTTP: spans and metrics in OpenTelemetry's own format, to any receiver that takes it."""
