#!/bin/bash
# Builds a package with owners and set-id bits, installs it, and removes it again.
set -eu
cd "$(mktemp -d)"
mkdir -p build/DEBIAN build/usr/bin build/var/closed
chmod 700 build/var/closed
cat >build/DEBIAN/control <<'END'
Package: sample
Version: 1
Architecture: all
Maintainer: nobody <nobody@example.org>
Description: sample
END
echo x >build/usr/bin/sample
chmod 4755 build/usr/bin/sample
chown -R 6:7 build/var/closed
dpkg-deb --build build sample.deb >/dev/null
dpkg -i sample.deb >/dev/null
stat -c '%u:%g %a' /usr/bin/sample /var/closed
dpkg --audit
useradd somebody
dpkg -r sample >/dev/null
grep -c somebody /etc/shadow
