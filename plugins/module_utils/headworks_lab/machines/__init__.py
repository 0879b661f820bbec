"""The machine lab: QEMU machines with Debian's own kernel, their networks, and their power.

What does not belong here: the disk that all machines begin with (scripts/machine-image), and the lab of containers (the
files one level up).
"""
