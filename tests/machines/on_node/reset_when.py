"""Resets the machine, without a sync, as soon as a shell command succeeds: reset_when.py TIMEOUT CHECK."""

import subprocess
import sys
import time

end = time.monotonic() + float(sys.argv[1])
while subprocess.run(["sh", "-c", sys.argv[2]], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode != 0:
    if time.monotonic() > end:
        raise SystemExit("the moment did not come")
    time.sleep(0.05)
with open("/proc/sysrq-trigger", "w") as trigger:
    trigger.write("b")
