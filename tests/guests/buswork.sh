#!/bin/bash
# Starts a message bus and asks it for its name.
set -eu
cd "$(mktemp -d)"
dbus-daemon --session --fork --print-address=1 --print-pid=1 --address="unix:path=$PWD/bus" >out
DBUS_SESSION_BUS_ADDRESS=$(sed -n 1p out)
export DBUS_SESSION_BUS_ADDRESS
dbus-send --session --print-reply --dest=org.freedesktop.DBus / org.freedesktop.DBus.GetId |
	grep -c string
kill "$(sed -n 2p out)"
