"""A ping that runs in a guest while tests change the cloud."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cloud_lab import CloudLab
from real_nodes import eventually

LOG = "/tmp/long-ping"
INTERVAL_S = 0.2
MOST = 9000


@dataclass(frozen=True)
class GuestPing:
    """``guest`` pings ``address`` five times a second until ``stop`` (half an hour at most)."""

    lab: CloudLab
    guest: str
    address: str

    def start(self) -> None:
        """Start the ping, and wait for the first answers."""
        command = f"ping -i {INTERVAL_S} -c {MOST} {self.address}"
        self.lab.guest(self.guest).run(f"({command} >{LOG} 2>&1 </dev/null & echo $! >{LOG}.pid)")
        eventually(lambda: len(self.answered()) > 5, f"{self.guest} pings {self.address}")

    def answered(self) -> list[int]:
        """The sequence numbers of the requests answered so far."""
        text = self.lab.guest(self.guest).run(f"cat {LOG}").stdout
        return [int(number) for number in re.findall(r"seq=(\d+)", text)]

    def must_have_lost_no_packet(self) -> int:
        """Fail if the ping has stopped or if an answer is missing; return the number of answers."""
        before = self.answered()
        after = eventually(
            lambda: answered if len(answered := self.answered()) > len(before) else None, "the ping still runs", 30
        )
        missing = sorted(set(range(max(after))) - set(after))
        assert not missing, f"{len(missing)} of {max(after)} lost: {missing[:20]}"
        assert len(after) == len(set(after)), "duplicate answers"
        return len(after)

    def stop(self) -> None:
        """End the ping."""
        self.lab.guest(self.guest).run(f"kill $(cat {LOG}.pid); rm -f {LOG} {LOG}.pid")
