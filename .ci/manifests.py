"""Writes deploy/kubernetes/meshfleet.yaml: what the Helm chart comes to with its own values, for who has no Helm."""

from __future__ import annotations

from pathlib import Path

from helm_python.chart import Chart

ROOT = Path(__file__).resolve().parents[1]
CHART = ROOT / "deploy" / "helm" / "meshfleet"
MANIFEST = ROOT / "deploy" / "kubernetes" / "meshfleet.yaml"
HEAD = """\
# Made from deploy/helm/meshfleet by `make manifests`; edit that. For the namespace `meshfleet`:
#
#   kubectl apply -k deploy/kubernetes
"""


def rendered() -> str:
    """All manifests of the chart with its own values, in the order of their files."""
    with Chart.load(CHART) as chart:
        files = chart.render(name="meshfleet", namespace="meshfleet")
    texts = [text.strip() for name, text in sorted(files.items()) if name.endswith(".yaml")]
    return HEAD + "".join(f"---\n{text}\n" for text in texts if text)


if __name__ == "__main__":
    MANIFEST.write_text(rendered())
    print(f"wrote {MANIFEST.relative_to(ROOT)}")
