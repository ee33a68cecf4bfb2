#!/bin/sh
# Installs what building and testing need, on Debian 12; `deps.sh bench`: also the peers and tools of
# the benchmark.  Nothing to do: says so.
set -eu

packages="gcc g++ make pkg-config
	liblmdb-dev libevent-dev libzstd-dev libprotobuf-c-dev protobuf-c-compiler protobuf-compiler
	libjson-c-dev libsodium-dev libpcre2-dev libxxhash-dev zlib1g-dev libarchive-dev libcurl4-openssl-dev
	libcmocka-dev clang clang-format cppcheck python3 python3-protobuf zstd curl git"
[ "${1:-}" != bench ] ||
	packages="$packages libsnappy1v5 victoria-metrics prometheus rrdtool rrdcached gnuplot-nox ripgrep"
# plain -8 lets requests be smuggled through evhttp and carries eight CVEs
libevent_least=2.1.12-stable-8+deb12u1

missing=
for p in $packages; do
	dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing="$missing $p"
done
for p in libevent-core-2.1-7 libevent-pthreads-2.1-7 libevent-dev; do
	have=$(dpkg-query -W -f '${Version}' "$p" 2>/dev/null || true)
	dpkg --compare-versions "${have:-0}" ge "$libevent_least" || missing="$missing $p"
done
if [ -z "$missing" ]; then
	echo "all packages are here"
	exit 0
fi
sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
echo "installing:$missing"
$sudo apt-get update -q
# shellcheck disable=SC2086
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -q -y --no-install-recommends $missing
have=$(dpkg-query -W -f '${Version}' libevent-dev)
dpkg --compare-versions "$have" ge "$libevent_least" ||
	{ echo "libevent-dev is $have, and $libevent_least or newer is needed: enable Debian's security updates" >&2; exit 1; }
