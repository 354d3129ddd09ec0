"""What `Agent.update` costs the agent: `python -m meshfleet.embed.bench` prints microseconds as one JSON object."""

from __future__ import annotations

import json
import logging
import threading
import time

from meshfleet.embed.agent import Agent

CALLS = 20_000
NOBODY = "http://127.0.0.1:9"
"""The discard port: nobody answers."""


def measure(agent: Agent, calls: int = CALLS) -> list[float]:
    """Microseconds of each of `calls` updates, in ascending order."""
    taken = []
    for i in range(calls):
        began = time.perf_counter_ns()
        agent.update(status="tool", active_tool="bash", tokens_in=i)
        taken.append((time.perf_counter_ns() - began) / 1_000)
    return sorted(taken)


def _shares(taken: list[float]) -> dict[str, float]:
    return {"p50_us": round(taken[len(taken) // 2], 2), "p99_us": round(taken[int(0.99 * len(taken))], 2)}


def main() -> None:
    """One thread, then four at once, each with and without a node. The node is this machine's, where one runs."""
    logging.disable()
    result: dict[str, dict[str, float]] = {}
    for name, node in (("node", None), ("no_node", NOBODY)):
        with Agent("bench", node=node) as agent:
            result[name] = _shares(measure(agent))
            result[f"{name}_4_threads"] = _shares(_four(agent))
    print(json.dumps(result))


def _four(agent: Agent) -> list[float]:
    taken: list[float] = []
    threads = [threading.Thread(target=lambda: taken.extend(measure(agent, CALLS // 4))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(taken)


if __name__ == "__main__":
    main()
