# Sourced by scripts/node-image and scripts/machine-image: the packages of the lab's nodes, the machine's own package
# sources and settings, and the services that the roles start. It uses $top (the checkout) and $suite.
# What does not belong here: how an image is put together. The functions are part of the images' hashes: a change of one
# builds the images again.
# shellcheck shell=bash disable=SC2154

packages_in() { sed 's/#.*//' "$top/roles/lab/files/packages-$1.txt" | tr -s ' \t' '\n' | grep . || true; }

# Prints the packages that the roles install, so that a warm node has them. Only lists of the form "x_packages:" and
# "  - name" are read.
role_packages() {
    cat "$top"/roles/*/vars/debian*.yml 2>/dev/null | awk '
        /^[a-z_]*_packages:[ \t]*$/ {inside = 1; next}
        inside && /^[ \t]*-[ \t]+[a-z0-9.+-]+[ \t]*(#.*)?$/ {print $2; next}
        /^[^ \t#-]/ {inside = 0}' || true
}

# Prints the host's package sources of this suite. Other sources are left out: a node does not have their keys.
apt_sources() {
    local file
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
        [ -f "$file" ] && grep -E "^deb .* $suite(-[a-z-]+)? " "$file"
    done || true
}

apt_sources_822() {
    local file
    for file in /etc/apt/sources.list.d/*.sources; do
        [ -f "$file" ] && grep -qE "^Suites:.*\b$suite\b|^Suites:.*\b$suite-" "$file" && { cat "$file"; echo; }
    done || true
}

apt_settings() {
    apt-config dump | grep -E '^Acquire::((http|https)::(Proxy|Ca|Verify|Timeout)|Check-|Retries)' || true
    local name
    for name in http https; do
        local variable=${name}_proxy
        [ -n "${!variable:-}" ] && echo "Acquire::$name::Proxy \"${!variable}\";"
    done || true
}

# Disables the services of the warm packages: starting services is the task of the roles.
disable_services() {
    local unit
    for unit in nginx haproxy dnsmasq openvswitch-switch libvirtd libvirt-guests virtlogd virtlockd iperf3 conntrackd; do
        for kind in service socket; do
            if [ -e "$1/lib/systemd/system/$unit.$kind" ]; then systemctl --root="$1" disable --quiet "$unit.$kind" 2>/dev/null; fi
        done
    done
    systemctl --root="$1" disable --quiet libvirtd-ro.socket libvirtd-admin.socket virtlockd-admin.socket virtlogd-admin.socket 2>/dev/null || true
}
