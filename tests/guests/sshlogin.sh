#!/bin/bash
# A whole login over loopback: root's sshd, its unprivileged child with a filter, a key, a shell.
set -u
mkdir -p /run/sshd /root/.ssh
chmod 700 /root /root/.ssh
cd "$(mktemp -d)" || exit 1
ssh-keygen -q -t ed25519 -N '' -f key
cp key.pub /root/.ssh/authorized_keys
chmod 600 /root/.ssh/authorized_keys
port=$((20000 + $$ % 20000))
/usr/sbin/sshd -D -e -p "$port" -o ListenAddress=127.0.0.1 -o UsePAM=no 2>log &
server=$!
login() {
	ssh -q -i key -p "$port" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
		-o BatchMode=yes -o ConnectTimeout=10 root@127.0.0.1 "$@"
}
for _ in $(seq 50); do
	login true 2>/dev/null </dev/null && break
	sleep 0.2
done
# shellcheck disable=SC2016
login 'id -un; echo "${SSH_CONNECTION%% *}"; exit 7' </dev/null
echo "status $?"
echo data | login 'cat >/root/received; wc -c </root/received'
kill "$server"
wait "$server"
grep -q 'Accepted publickey' log && echo accepted
grep -i -E 'fatal|error' log
exit 0
