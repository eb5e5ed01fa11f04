#!/bin/sh
# rootlike-tools: what the tools of a root do with owners, modes, nodes and lists, and what others may do then.
#
#   rootlike-tools.sh WORK
#
# Makes WORK, prints what came of each tool in it, and removes it. The output is the same for every root.
set -u
mkdir "$1" && cd "$1" || exit 1
umask 022
export HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin
exec 2>&1

# Every file below a directory.
show() {
	find "$@" -printf '%p %y %m %U:%G %n %l\n' | sort
	find "$@" -type c -exec stat -c '%n %t:%T' {} + | sort
}

make_tree() {
	mkdir -p tree/dir tree/sticky
	echo one >tree/file
	echo two >tree/dir/setid
	ln tree/file tree/hard
	ln -s file tree/link
	mkfifo tree/fifo
	mknod tree/null c 1 3
	chown 12:34 tree/file
	chown 1000:50 tree/dir tree/dir/setid
	chown -h 7:8 tree/link
	chmod 4711 tree/dir/setid
	chmod 2775 tree/dir
	chmod 1777 tree/sticky
	touch -d @1000000000 tree/file tree/dir/setid
}

case_tar() {
	tar --numeric-owner -cf archive.tar tree
	tar --numeric-owner -tvf archive.tar | awk '{print $1, $2, $6, $7, $8}'
	mkdir out
	tar --numeric-owner -xpf archive.tar -C out
	show out
	mkdir other
	tar --owner=5 --group=6 -cf owned.tar tree && tar --same-owner -xpf owned.tar -C other
	show other
}

case_cp() {
	cp -a tree copy
	show copy
	cp -r tree plain
	show plain
	cp --preserve=mode,ownership tree/dir/setid single
	show single
}

case_rsync() {
	rsync -aHADX --numeric-ids tree/ synced/
	show synced
	rsync -a --chown=21:22 tree/ owned/
	show owned
}

case_cpio() {
	find tree -depth | sort | cpio --quiet -o -H newc >archive.cpio
	mkdir out
	(cd out && cpio --quiet -idm --no-absolute-filenames <../archive.cpio)
	show out
}

case_install() {
	install -d -o 3 -g 4 -m 2750 made
	install -o 5 -g 6 -m 6711 tree/file made/program
	install -m 644 tree/file made/plain
	show made
}

case_dpkg_deb() {
	mkdir -p package/DEBIAN package/usr/bin
	printf 'Package: p\nVersion: 1\nArchitecture: all\nMaintainer: m <m@example.org>\nDescription: d\n' \
		>package/DEBIAN/control
	cp -a tree/file tree/dir package/usr/bin
	dpkg-deb --build package p.deb
	dpkg-deb -c p.deb | awk '{print $1, $2, $6, $7, $8}'
	dpkg-deb -x p.deb out
	show out
}

case_setcap() {
	setcap cap_net_bind_service,cap_net_raw+ep tree/file
	getcap tree/file
	getcap -r tree
	setcap -v cap_net_raw+ep tree/file >/dev/null
	echo "verified $?"
	chown 9 tree/file
	getcap tree/file
	setcap cap_chown=ep tree/dir/setid
	setcap -r tree/dir/setid
	getcap tree/dir/setid
	setcap cap_net_raw+ep tree/file
	cp -a tree/file with-capability
	getcap with-capability
}

case_acl() {
	setfacl -m u:1000:rwx,g:50:r-x,m::rw- tree/file
	getfacl -n tree/file
	stat -c %a tree/file
	chmod 750 tree/file
	getfacl -cn tree/file
	setfacl -d -m u:1000:rwx tree/dir
	touch tree/dir/new
	mkdir tree/dir/sub
	getfacl -cn tree/dir tree/dir/new tree/dir/sub
	getfacl -nR tree >lists
	setfacl -bR tree
	getfacl -cn tree/file
	setfacl --restore=lists
	getfacl -cn tree/file
	cp -a tree/file copied && getfacl -cn copied
	setfacl -b tree/file
	chmod 600 tree/file
	setfacl -m u:nobody:r tree/file
	setpriv --reuid nobody --regid nogroup --clear-groups cat tree/file
	setfacl -x u:nobody tree/file
	setpriv --reuid nobody --regid nogroup --clear-groups cat tree/file
}

case_useradd() {
	mkdir -p etc home
	: >etc/passwd && : >etc/group && : >etc/shadow && : >etc/gshadow
	chmod 600 etc/shadow
	useradd --prefix "$PWD" -u 1234 -U -m -d /home/alice -s /bin/sh alice
	useradd --prefix "$PWD" -u 1235 -U -M bob
	usermod --prefix "$PWD" -c 'Alice' alice
	cut -d: -f1-4 etc/passwd
	show etc home | grep -v '/\.[a-z]\|-\( \|$\)'
	userdel --prefix "$PWD" bob
	cut -d: -f1 etc/passwd
}


case_su() {
	echo hidden >secret
	chmod 600 secret
	mkdir -m 1777 open
	echo 'id -un; cat secret; echo x >made; touch open/by-su; echo $HOME' >script
	chmod 755 script . 
	su nobody -s /bin/sh -c "cd $PWD && sh script"
	runuser -u nobody -- sh script
	sudo -n -u nobody sh script 2>&1 | grep -v 'resolve host'
	setpriv --reuid 65534 --regid 65534 --init-groups sh script
	chroot --userspec=nobody:nogroup / sh -c "cd $PWD && sh script"
	cp /bin/sh own-sh
	start-stop-daemon --start --chuid nobody:nogroup --exec "$PWD/own-sh" --chdir "$PWD" -- script
	show open | sed 's/ [0-9]* $//'
	su nobody -s /bin/sh -c 'su root -c id </dev/null' >/dev/null 2>&1
	echo "back $?"
	su nobody -s /bin/sh -c 'cat /etc/shadow' 2>/dev/null
	echo "shadow $?"
}

case_set_id() {
	cp /usr/bin/id own-id
	chown 1234:5678 own-id
	chmod 6755 own-id
	runuser -u nobody -- ./own-id
	setpriv --no-new-privs --reuid nobody --regid nogroup --clear-groups ./own-id
	chmod 755 own-id
	runuser -u nobody -- ./own-id
}

case_git() {
	git init -q repository
	(cd repository && git -c user.name=n -c user.email=e commit -q --allow-empty -m first && git log --format=%s)
	show repository -maxdepth 1
	chown -R 1000:1000 repository
	git -C repository log --format=%s 2>&1 | head -n 1 | sed "s,$PWD,WORK,"
	runuser -u nobody -- git -C repository log --format=%s 2>&1 | head -n 1 | sed "s,$PWD,WORK,"
}

for name in tar cp rsync cpio install dpkg_deb setcap acl useradd su set_id git; do
	mkdir case && cd case || exit 1
	make_tree
	echo "== $name"
	"case_$name" | sed "s,$PWD,WORK,g"
	cd ..
	chmod -R u+rwX case
	rm -rf case
done
cd / && rmdir "$1"
