"""Talks to the oracle tool (oracle_tool.cpp) in JSON lines."""

import json
import subprocess


def ask(tool, arguments, requests):
    """One answer for each request, or for `time` a single one."""
    lines = "\n".join(json.dumps(request) for request in requests)
    done = subprocess.run([tool, *map(str, arguments)], input=lines.encode(), capture_output=True)
    if done.returncode != 0:
        raise AssertionError(f"the oracle tool failed: {done.stderr.decode()}")
    # Not splitlines(): JSON strings may hold U+2028 as it is.
    return [json.loads(line) for line in done.stdout.decode().split("\n")[:-1]]
