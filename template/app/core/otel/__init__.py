"""Traces and metrics, which OpenTelemetry sends where its own variables say."""
