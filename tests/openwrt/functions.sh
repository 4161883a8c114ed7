# Stands in for base-files' /lib/functions.sh: packages' scripts, users, and UCI as init scripts read it.

config_load() { UCI=/etc/config/$1; }

# The values of an option of a named section.
uci_values() { # section option
	awk -v section="$1" -v wanted="$2" '
		{ sub(/^[ \t]+/, "") }
		/^#/ { next }
		$1 == "config" { name = $3; gsub(/\047/, "", name) }
		($1 == "option" || $1 == "list") && name == section && $2 == wanted { value = $0; sub(/^[a-z]+[ \t]+[a-z_]+[ \t]+/, "", value); gsub(/\047/, "", value); print value }
	' "$UCI"
}

config_get() { # variable section option [default]
	local value
	value=$(uci_values "$2" "$3" | tail -n 1)
	eval "$1=\${value:-\$4}"
}

config_get_bool() {
	local value
	config_get value "$2" "$3" "$4"
	case $value in
	1 | on | true | yes | enabled) eval "$1=1" ;;
	0 | off | false | no | disabled) eval "$1=0" ;;
	*) eval "$1=\$4" ;;
	esac
}

add_group_and_user() { # package
	local pair user id
	pair=$(sed -n 's/^Require-User: *//p' "/usr/lib/opkg/info/$1.control")
	user=${pair%%:*}
	[ -n "$user" ] && ! grep -q "^$user:" /etc/passwd || return 0
	id=32768
	while grep -q ":$id:" /etc/passwd; do id=$((id + 1)); done
	echo "$user:x:$id:" >>/etc/group
	echo "$user:x:$id:$id:$user:/var/run/$user:/bin/false" >>/etc/passwd
}

default_postinst() { # script
	local name script file
	name=$(basename "${1%.*}")
	add_group_and_user "$name"
	for file in $(grep '^/etc/uci-defaults/' "/usr/lib/opkg/info/$name.list"); do
		(cd /etc/uci-defaults && . "$file") && rm -f "$file"
	done
	[ ! -f "/usr/lib/opkg/info/$name.postinst-pkg" ] || (. "/usr/lib/opkg/info/$name.postinst-pkg")
	for script in $(grep '^/etc/init.d/' "/usr/lib/opkg/info/$name.list"); do
		[ "$PKG_UPGRADE" = 1 ] || "$script" enable
		"$script" start
	done
}

default_prerm() { # script
	local name script
	name=$(basename "${1%.*}")
	for script in $(grep '^/etc/init.d/' "/usr/lib/opkg/info/$name.list"); do
		[ "$PKG_UPGRADE" = 1 ] || "$script" disable
		"$script" stop
	done
}
