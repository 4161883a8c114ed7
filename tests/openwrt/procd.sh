# Stands in for /lib/functions/procd.sh: a service's description is a folder of /tmp/procd instead of a message on ubus. What is
# called that procd does not know ends the script.
procd_open_service() {
	SERVICE=/tmp/procd/$1
	rm -rf "$SERVICE.new"
	mkdir -p "$SERVICE.new/triggers"
}
procd_open_instance() { : >"$SERVICE.new/instance"; }
procd_set_param() {
	local type=$1
	shift
	case $type in
	command | file | respawn | reload_signal | term_timeout | user | group | capabilities | no_new_privs | stdout | stderr | env | limits | nice) ;;
	*) echo "procd knows no $type" >&2 && exit 1 ;;
	esac
	: >"$SERVICE.new/$type"
	local value
	for value in "$@"; do printf '%s\n' "$value" >>"$SERVICE.new/$type"; done
}
procd_add_jail() { echo "$1" >"$SERVICE.new/jail"; }
procd_close_instance() { :; }
procd_add_reload_trigger() { echo "config.change $*" >>"$SERVICE.new/triggers/all"; }
procd_add_raw_trigger() { echo "$*" >>"$SERVICE.new/triggers/all"; }
procd_add_restart_mount_trigger() { echo "mount.add $*" >>"$SERVICE.new/triggers/all"; }
procd_close_service() {
	service_triggers
	procd set "${SERVICE##*/}"
}
procd_kill() { procd delete "$1"; }
