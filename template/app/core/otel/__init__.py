"""Traces and metrics, sent to the destinations in the variables of OpenTelemetry."""
