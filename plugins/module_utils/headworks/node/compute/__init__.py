"""Guests: base images, disks, libvirt domains."""
