#!/usr/bin/env bash
# What ganrun does on this machine's GPU: its tests, the benchmark, a short training with samples; in under 8 minutes.
#
#   scripts/gpu_check.sh                            installs what is missing into an environment of its own
#   WHEELS=folder scripts/gpu_check.sh              the same offline, from a folder of wheels
#   GANRUN_DATA=folder scripts/gpu_check.sh         with cifar-10-batches-py or cifar10/cifar10-jpeg.zip; else drawn shapes
#   DEVICE=cpu scripts/gpu_check.sh                 without a GPU, and very short: whether this script itself works
#
# Also: OUT=folder of the results (outputs/gpu_check), PYTHON=interpreter that has torch (python3),
# MIMICRY=checkout and PYTORCH_GAN=checkout to compare with.
# Every part has a time limit, and one that fails does not stop the others; summary.txt tells what passed.
#
# Wheels for a machine without a network, made on one with a network and the same version of Python:
#   pip wheel --wheel-dir folder $(python scripts/requirements.py)     torch and torchvision may then be deleted
set -u
for name in WHEELS GANRUN_DATA OUT MIMICRY PYTORCH_GAN; do
  [ -n "${!name:-}" ] && export "$name=$(realpath -m "${!name}")"
done
cd "$(dirname "$0")/.."
device=${DEVICE:-cuda}
out=${OUT:-$PWD/outputs/gpu_check}
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PYTHONPATH=$PWD PYTHONUNBUFFERED=1
export GANRUN_CACHE=$work/cache
python=$(command -v "${PYTHON:-python3}")
failed=0
patience=1
[ "$device" = cpu ] && patience=4 # nobody counts on 8 minutes

note() { echo "$*" | tee -a "$out/summary.txt"; }

# part NAME SECONDS LOG COMMAND...: run it within a time limit, note how it ended
part() {
  local name=$1 limit=$(($2 * patience)) log=$out/$3 begin=$SECONDS code=0 group
  shift 3
  echo "== $name (at most $limit s)"
  timeout "$limit" "$@" >>"$log" 2>&1 </dev/null & # in a process group of its own
  group=$!
  wait $group || code=$?
  for _ in {1..15}; do # what it started may still have something to save
    kill -0 -- -$group 2>/dev/null || break
    sleep 1
  done
  kill -KILL -- -$group 2>/dev/null
  local verdict="FAILED with code $code"
  case $code in 0) verdict=passed ;; 124 | 137) verdict="OUT OF TIME" ;; esac
  [ $code -eq 0 ] || failed=1
  note "$(printf '%-12s %-20s %4d s   %s' "$name" "$verdict" $((SECONDS - begin)) "$(tail -n 1 "$log" | cut -c 1-100)")"
  return $code
}

install() {
  local env=$work/env from=()
  if "$python" -c 'import sys; sys.exit(sys.prefix == sys.base_prefix)'; then
    env=${python%/bin/*} # an environment already: what is missing is added to it
  else
    "$python" -m venv --system-site-packages --without-pip "$env" || return
  fi
  [ -n "${WHEELS:-}" ] && from=(--no-index --find-links "$WHEELS")
  "$python" scripts/requirements.py >"$work/requirements.txt" &&
    "$python" -m pip --python "$env/bin/python" install --quiet --disable-pip-version-check "${from[@]}" \
      --requirement "$work/requirements.txt"
}

environment() {
  date
  uname -srm
  git rev-parse HEAD 2>/dev/null
  nvidia-smi 2>/dev/null || echo "no nvidia-smi"
  lscpu 2>/dev/null | grep -E '^(Model name|CPU\(s\))'
  "$python" -c 'import sys, torch; print(sys.version); print("torch", torch.__version__, "CUDA", torch.version.cuda,
"cuDNN", torch.backends.cudnn.version(), "GPU", torch.cuda.is_available() and torch.cuda.get_device_name())'
  "$python" -m pip --python "$python" freeze 2>/dev/null
}

tests() {
  local several=()
  "$python" -c 'import xdist' 2>/dev/null && several=(-n $(($(nproc) < 6 ? $(nproc) : 6)))
  "$python" -m pytest -q -m gpu -p no:cacheprovider -rs "${several[@]}" tests
}

benchmark() {
  local how=(--seconds 1 --repeats 5 --limit 12)
  [ "$device" = cpu ] && how=(--seconds 0.1 --repeats 1 --only dcgan)
  [ -n "${MIMICRY:-}" ] && how+=(--mimicry "$MIMICRY")
  [ -n "${PYTORCH_GAN:-}" ] && how+=(--pytorch-gan "$PYTORCH_GAN")
  "$python" scripts/benchmark.py "${how[@]}" --out "$out"
}

around() {
  [ "$device" = cpu ] && echo "skipped: too long without a GPU" && return
  "$python" scripts/benchmark.py --part around --repeats 2 --out "$out"
}

training() {
  local data=(dataset=shapes) archive=${GANRUN_DATA:-/nowhere}/cifar10/cifar10-jpeg.zip steps=1500 code=0
  [ -e "$archive" ] && data=(dataset=image_folder "dataset.path=$archive" dataset.subfolder=train)
  [ -d "${GANRUN_DATA:-/nowhere}/cifar-10-batches-py" ] && data=(dataset=cifar10 dataset.download=false)
  local model=(model=sngan loss=hinge loss.critic_steps=5 optimizer=adam_wgan)
  [ "$device" = cpu ] && steps=20 && model=(model=dcgan dataset.size=16 trainer.batch_size=16)
  # Asked to stop, it saves what it has learned by then.
  timeout --foreground $((50 * patience)) "$python" -m ganrun "${data[@]}" "${model[@]}" "trainer.device=$device" \
    "trainer.steps=$steps" evaluation=none "run=$work/run" || code=$?
  [ $code -eq 0 ] || [ $code -eq 124 ] || return $code
  "$python" -m ganrun sample "run=$work/run" "output=$out/samples.png" && tail -n 1 "$work/run/metrics.jsonl"
}

export -f install environment tests benchmark around training
export device out work python patience

rm -f "$out"/*.txt "$out"/*.json "$out"/samples*
note "ganrun on ${device}: $(date '+%F %T')"
if ! "$python" -c 'import torch' 2>/dev/null; then
  note "$python has no torch: name one that has, PYTHON=..."
  exit 1
fi
if [ "$device" != cpu ] && ! "$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
  note "torch sees no CUDA device here. DEVICE=cpu tries this script without one."
  exit 1
fi

part install 70 environment.txt bash -c install
[ -x "$work/env/bin/python" ] && python=$work/env/bin/python && export python
part environment 20 environment.txt bash -c environment
part benchmark 160 benchmark.txt bash -c benchmark
part around 40 benchmark.txt bash -c around
part tests 110 tests.txt bash -c tests
part training 70 training.txt bash -c training
[ "$device" = cpu ] && note "no GPU was used: the tests that need one were skipped, and the figures are the CPU's"
grep -hE '^[a-z_]+ .*x$|GFLOP/s|%$|[0-9] s$' "$out/benchmark.txt" >>"$out/summary.txt" 2>/dev/null
echo
cat "$out/summary.txt"
exit $failed
