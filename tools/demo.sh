#!/bin/sh
# A first look: a server on a scratch directory, three real runs imported, one more pushed live.
# usage: [ASTRAML=PROGRAM] demo.sh   (make demo).  Ends by itself when stdin is not a terminal.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
program=$(realpath "${ASTRAML:-$here/build/astraml}")
samples=$here/tests/data/mlperf_training
scratch=${TMPDIR:-/tmp}/astraml-demo-$(id -u)
server= follower=

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
	bold=$(printf '\033[1m') plain=$(printf '\033[0m')
else
	bold= plain=
fi
title() { printf '\n%s%s%s\n\n' "$bold" "$*" "$plain"; }
# Shows a command as one would type it, and runs it.
run() {
	printf '%s$ astraml %s%s\n' "$bold" "$*" "$plain"
	"$program" "$@"
}

stop() {
	[ -z "$follower" ] || kill "$follower" 2>/dev/null || true
	[ -z "$server" ] || kill "$server" 2>/dev/null || true
	[ -z "$server" ] || wait "$server" || true
	[ -z "$server" ] || rm -f "$scratch/pid"
	server= follower=
}
trap stop EXIT
trap 'exit 130' INT TERM

# The directory has a fixed name, so that every demo starts afresh and leaves one directory at most.
if [ -e "$scratch" ]; then
	if [ ! -O "$scratch" ] || [ ! -f "$scratch/this-is-the-demo" ]; then
		echo "demo: $scratch is there and was not made by a demo; set TMPDIR to another place" >&2
		exit 1
	fi
	if [ -s "$scratch/pid" ] && kill -0 "$(cat "$scratch/pid")" 2>/dev/null; then
		echo "demo: another one is running in $scratch (process $(cat "$scratch/pid")); end that one first" >&2
		exit 1
	fi
	rm -rf "$scratch"
fi
mkdir -m 700 "$scratch"
: >"$scratch/this-is-the-demo"

title "1. A server, on an empty directory"
printf '%s$ astraml serve --data %s/data --listen 127.0.0.1:0 &%s\n' "$bold" "$scratch" "$plain"
mkfifo "$scratch/ready"
"$program" serve --data "$scratch/data" --listen 127.0.0.1:0 >"$scratch/ready" 2>"$scratch/server.log" &
server=$!
echo "$server" >"$scratch/pid"
read -r ready <"$scratch/ready" || ready=
url=${ready#ready on }
if [ -z "$url" ]; then
	echo "demo: the server did not start:" >&2
	cat "$scratch/server.log" >&2
	exit 1
fi
echo "$ready"
unset ASTRAML_DATA ASTRAML_PROJECT ASTRAML_RUN
ASTRAML_URL=$url ASTRAML_TOKEN=$(cat "$scratch/data/owner.token")
export ASTRAML_URL ASTRAML_TOKEN

title "2. Three real runs of MLPerf Training, from their console logs"
cd "$samples"
run import mllog --run resnet-2018 v0.5/nvidia__dgx1_multi_ngc18.11_mxnet__resnet__result_0.txt.gz
run import mllog --run rnnt-2022 v2.0/Dell__DSS8440x8xA30-NVBRIDGE__rnnt__result_0.txt.gz
run import mllog --run llama2-lora-2025 v5.0/Oracle__18xBM.GPU.GB200.4__llama2_70b_lora__result_0.txt.gz

# A made-up training: the same numbers every time, 60 steps in about 5 seconds.
training() {
	awk 'BEGIN {
		for (step = 0; step < 60; step++) {
			loss = 0.35 + 2.6 * exp(-step / 14) + 0.06 * sin(step * 1.7)
			lr = step < 10 ? 3e-5 * (step + 1) / 10 : 1.5e-5 * (1 + cos(3.14159265 * (step - 10) / 50))
			printf "{\"metric\":\"train/loss\",\"value\":%.6f,\"step\":%d}\n", loss, step
			printf "{\"metric\":\"train/lr\",\"value\":%.8g,\"step\":%d}\n", lr, step
			if (step % 10 == 9)
				printf "{\"log\":\"step %d  loss %.4f  lr %.2e\\n\",\"level\":\"info\",\"stream\":\"stdout\"}\n", step + 1, loss, lr
			if (step == 33)
				printf "{\"log\":\"gradient norm 41.7 clipped to 1.0\\n\",\"level\":\"warn\",\"stream\":\"stderr\"}\n"
			if (step % 3 == 2) {
				fflush()
				system("sleep 0.25")
			}
		}
		printf "{\"log\":\"done after 60 steps\\n\",\"level\":\"info\",\"stream\":\"stdout\"}\n"
	}'
}

title "3. A run that is training right now, its log followed while it is pushed"
printf '%s\n' '{"log":"starting\n","level":"info","stream":"stdout"}' | "$program" push --run live
printf '%s$ train | astraml push --run live &%s\n' "$bold" "$plain"
printf '%s$ astraml logs live -f%s\n' "$bold" "$plain"
"$program" logs live -f &
follower=$!
training | "$program" push --run live
sleep 0.3 # for the follower to print the last line
kill "$follower" 2>/dev/null || true
wait "$follower" 2>/dev/null || true
follower=

title "4. What is there"
run runs
echo
run metrics llama2-lora-2025
echo
run get rnnt-2022 eval_accuracy --points 12
echo
run get live train/loss --x step --points 12
echo
run logs resnet-2018 --tail 5
echo
run logs live --level warn
echo
run plot live train/loss --x step --height 8
echo
run plot rnnt-2022 eval_accuracy --x step --log-y --height 10

title "5. Go on from here"
cat <<END
  export ASTRAML_URL=$url ASTRAML_TOKEN=\$(cat $scratch/data/owner.token)
  astraml=$program

  \$astraml show rnnt-2022
  \$astraml compare rnnt-2022 llama2-lora-2025
  \$astraml logs resnet-2018 --grep train_epoch
  \$astraml get llama2-lora-2025 train_loss --json
  echo '{"metric":"loss","value":0.5,"step":1}' | \$astraml push --run mine

  curl -H "Authorization: Bearer \$ASTRAML_TOKEN" "$url/v2/projects/default/runs"
  curl -H "Authorization: Bearer \$ASTRAML_TOKEN" "$url/v2/projects/default/query?run=live&metric=train/loss&every=30s"
  curl -H "Authorization: Bearer \$ASTRAML_TOKEN" "$url/v2/projects/default/runs/live/logs?limit=5"
  curl $url/metrics
END

if [ -t 0 ]; then
	printf '\nThe server runs until you press Ctrl-C.\n'
	trap 'exit 0' INT
	wait "$server" || true
else
	stop
	printf '\nThe server is stopped; its data stays.  To start it again:\n  %s serve --data %s/data\n' "$program" "$scratch"
fi
