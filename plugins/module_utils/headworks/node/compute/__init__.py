"""Subsystems of guests: base images, disks, libvirt domains."""
