"""Runs a shell command, and prints the seconds until another succeeds: seconds_until.py TIMEOUT ACTION CHECK.

The clock is the machine's own, and nothing is asked over the network: the network may be what the action takes away.
"""

import subprocess
import sys
import time

timeout, action, check = float(sys.argv[1]), sys.argv[2], sys.argv[3]
began = time.monotonic()
done = subprocess.run(["sh", "-c", action], capture_output=True, text=True)
while subprocess.run(["sh", "-c", check], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode != 0:
    if time.monotonic() - began > timeout:
        raise SystemExit(f"not back after {timeout:.0f} s: {check}\n{done.stdout}{done.stderr}")
    time.sleep(0.1)
print(f"{time.monotonic() - began:.1f}")
