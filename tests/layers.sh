#!/bin/sh
# Who may include whom (the table in README.md, "The house").  Prints each breach; exit 1 on any.
set -eu
cd "$(dirname "$0")/.."
bad=0

breach() {
	if [ -n "$2" ]; then
		printf 'layers: %s\n%s\n' "$1" "$2"
		bad=1
	fi
}

# rule WHAT FILES INCLUDE-PATTERN [ALLOWED-PATTERN]
rule() {
	found=$(grep -nE "^#include [<\"]($3)" $2 /dev/null | { [ $# -lt 4 ] && cat || grep -vE "#include [<\"]($4)"; } || true)
	breach "$1" "$found"
}

base=$(find store/base -name '*.[ch]*')
store=$(find store -path store/base -prune -o -name '*.[ch]' -print)
proto=$(find proto -name '*.[ch]')
ingest=$(find ingest -name '*.[ch]')
query=$(find query -name '*.[ch]')
not_kv=$(find store proto ingest query tools -name '*.[ch]' ! -path store/kv.c)
not_compress=$(find store proto ingest query tools -name '*.[ch]' ! -path store/base/compress.c)

rule 'store/base/ includes only libc and zstd' "$base" '(store|proto|ingest|query|tools)/' 'store/base/'
rule 'store/ never sees proto/, ingest/, query/' "$store" '(proto|ingest|query|tools|astraml)/'
rule 'proto/ never sees store/ (but store/base/), ingest/, query/' "$proto" '(store|ingest|query|tools)/' 'store/base/'
faces='store/(base/|read\.h|write\.h|admin\.h|model\.h)'
rule 'ingest/ sees only the public faces of store/' "$ingest" '(store|query|tools)/' "$faces"
rule 'query/ sees only the public faces of store/' "$query" '(store|ingest|tools)/' "$faces"
not_tarball=$(find store proto ingest query tools -name '*.[ch]' ! -path store/care/tarball.c)
rule 'archive.h belongs to store/care/tarball.c' "$not_tarball" 'archive(_entry)?\.h'
rule 'lmdb.h belongs to store/kv.c' "$not_kv" 'lmdb\.h'
rule 'zstd.h belongs to store/base/compress.c' "$not_compress" 'zstd\.h'
rule 'libevent belongs to proto/' "$store $base $ingest $query" 'event2?/'
[ $bad = 0 ] && echo 'layers: every include is allowed'
exit $bad
