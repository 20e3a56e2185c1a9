#!/usr/bin/env bash
# Fetches today's peers as Debian packages them and unpacks them into a folder; nothing on the system changes.
#
#   scripts/get-peers.sh DIR [PACKAGE...]       default packages: prometheus promtool
#
# Afterwards DIR/usr/bin/prometheus runs as it is. The mirror and the keyring are those of the machine's own apt
# sources; only the suite is replaced, by $PEERS_SUITE (default: sid). An apt state of its own lies in DIR/.apt.
set -euo pipefail

if [ $# -lt 1 ]; then
  sed -n '2,7s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
mkdir -p "$1"
target=$(cd "$1" && pwd)
shift
packages=("$@")
[ ${#packages[@]} -gt 0 ] || packages=(prometheus promtool)
suite=${PEERS_SUITE:-sid}

fail() {
  printf 'get-peers: %s\n' "$*" >&2
  exit 1
}

# Debian's mirror: the first main archive in a deb822 file, else in a one-line list. Security archives have no sid.
mirror_of_this_machine() {
  local files=(/etc/apt/sources.list.d/*.sources /etc/apt/sources.list /etc/apt/sources.list.d/*.list)
  awk '
    function offer(uri) { if (uri ~ /:\/\/.*\/debian\/?$/) { print uri; exit } }
    $1 == "URIs:" { for (i = 2; i <= NF; i++) offer($i) }
    $1 == "deb"   { for (i = 2; i <= NF; i++) if ($i ~ /:\/\//) offer($i) }
  ' $(ls "${files[@]}" 2>/dev/null)
}

mirror=$(mirror_of_this_machine)
[ -n "$mirror" ] || fail "no Debian archive among this machine's apt sources"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -r "$keyring" ] || fail "$keyring is missing (package debian-archive-keyring)"

state=$target/.apt
mkdir -p "$state/lists/partial" "$state/cache/archives/partial" "$state/packages"
cat > "$state/peers.sources" <<SOURCES
Types: deb
URIs: $mirror
Suites: $suite
Components: main
Signed-By: $keyring
SOURCES

apt() {
  apt-get -qq \
    -o Dir::Etc::SourceList="$state/peers.sources" -o Dir::Etc::SourceParts=/dev/null \
    -o Dir::State::Lists="$state/lists" -o Dir::Cache="$state/cache" \
    -o APT::Get::List-Cleanup=0 -o APT::Sandbox::User="$(id -un)" "$@"
}

apt update
cd "$state/packages"
for package in "${packages[@]}"; do
  rm -f "${package}"_*.deb
  apt download "$package"
  dpkg-deb --extract "${package}"_*.deb "$target"
  printf '%s\n' "${package}"_*.deb
done
