"""Which moves of NICs are confirmed: small files below /var/lib/headworks/underlay, which survive a power cut.

``<NIC>.json`` says where the NIC moves: into a bridge, or out of it. One marker beside it says how far the move is:
``<NIC>.pending`` (the control node has not confirmed the move), ``<NIC>.confirmed``, or ``<NIC>.undone`` (the node has
taken the NIC out of the bridge again). Units that do not use headworks rename these markers, too (``rollback.py``).
What does not belong here: the addresses of the NIC (``carry.py``), and the steps of a move (``mover.py``).
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from ...state.places import HEADWORKS_DIR
from ...system.files import sync_directory, write_file

MOVES_DIR = Path(HEADWORKS_DIR) / "underlay"
# In the order in which they count, if a power cut between two steps left several.
PENDING, UNDONE, CONFIRMED = STAGES = ("pending", "undone", "confirmed")


@dataclass(frozen=True)
class Move:
    """The last move of a NIC. ``leaves``: the NIC leaves ``bridge``, otherwise it enters. ``rollback_seconds``: how
    long the control node has to confirm it."""

    nic: str
    bridge: str
    leaves: bool = False
    rollback_seconds: int = 60


def stage_of(nic: str) -> str:
    """Return how far the last move of the NIC is: one of ``STAGES``; "" if the NIC never moved."""
    return next((stage for stage in STAGES if marker(nic, stage).exists()), "")


def is_confirmed(nic: str, bridge: str) -> bool:
    """Return whether the control node has confirmed that the NIC is in the bridge."""
    move = read_move(nic)
    return stage_of(nic) == CONFIRMED and move is not None and (move.bridge, move.leaves) == (bridge, False)


def read_move(nic: str) -> Move | None:
    """Return the last move of the NIC; None if there is none or its file is damaged."""
    with suppress(OSError, ValueError, TypeError):
        return Move(**json.loads((MOVES_DIR / f"{nic}.json").read_text()))
    return None


def begin_move(move: Move) -> None:
    """Note that the move begins and is not confirmed. It is on the disk when this function returns."""
    MOVES_DIR.mkdir(mode=0o755, parents=True, exist_ok=True)
    # The marker is first: a move whose file is missing counts as unconfirmed, too.
    write_file(marker(move.nic, PENDING), "")
    write_file(MOVES_DIR / f"{move.nic}.json", json.dumps(asdict(move)) + "\n")
    marker(move.nic, UNDONE).unlink(missing_ok=True)  # an earlier move was undone, not this one


def set_stage(nic: str, stage: str) -> None:
    """Note how far the move is."""
    write_file(marker(nic, stage), "")
    for other in STAGES:
        if other != stage:
            marker(nic, other).unlink(missing_ok=True)
    sync_directory(MOVES_DIR)


def forget_move(nic: str) -> None:
    """Delete all that is noted about the NIC: it is not in a bridge, and needs no confirmation."""
    if MOVES_DIR.is_dir():
        # The marker of an unconfirmed move is last: after a power cut in between, the move counts as unconfirmed.
        for path in (MOVES_DIR / f"{nic}.json", *(marker(nic, stage) for stage in reversed(STAGES))):
            path.unlink(missing_ok=True)
        sync_directory(MOVES_DIR)


def pending_nics() -> list[str]:
    """Return the NICs whose move is not confirmed."""
    return sorted(path.name.removesuffix(f".{PENDING}") for path in MOVES_DIR.glob(f"*.{PENDING}"))


def undone_nics() -> list[str]:
    """Return the NICs that the node took out of their bridge, because the move was not confirmed."""
    return sorted(path.name.removesuffix(f".{UNDONE}") for path in MOVES_DIR.glob(f"*.{UNDONE}"))


def marker(nic: str, stage: str) -> Path:
    """Return the file that says that the move of the NIC is at ``stage``."""
    return MOVES_DIR / f"{nic}.{stage}"
