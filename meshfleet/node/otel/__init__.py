"""OpenTelemetry out: what is measured goes to a collector as OTLP over HTTP, from one node of the fleet at a time or
from each for itself. `exporting` is the way in; docs/opentelemetry.md tells what comes out.
"""
