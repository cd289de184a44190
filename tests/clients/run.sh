#!/usr/bin/env bash
# Programs written for Slurm, unmodified, against Squall: `run.sh SQUALL [CLIENT...]`. Needs Python 3 with venv, and
# PyPI. All of it happens in a folder of its own, which stays if something failed.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
squall=$(realpath "${1:?the squall program}")
shift
clients=("$@")
((${#clients[@]})) || clients=(
    nextflow_replay simple_slurm_client psij_client submitit_client parsl_client dask_client
    gridtk_client pyslurmutils_client
)

work=$(mktemp -d /tmp/clients-XXXXXX)
python3 -m venv "$work/venv" &&
    "$work/venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt" || exit 1

cluster=$work/c
exports=$("$here/../slurm/squall.sh" up "$cluster" "$squall") || exit 1
eval "$exports"
export PATH=$work/venv/bin:$PATH
failed=()
for client in "${clients[@]}"; do
    started=$SECONDS
    mkdir -p "$work/$client"
    if (cd "$work/$client" && timeout 600 "$work/venv/bin/python" "$here/$client.py" >output 2>&1); then
        printf '%-22s passed after %3d s\n' "$client" $((SECONDS - started))
    else
        printf '%-22s FAILED after %3d s; the end of what it said:\n' "$client" $((SECONDS - started))
        tail -40 "$work/$client/output" | sed 's/^/    /'
        failed+=("$client")
    fi
    scancel --me
done
"$here/../slurm/squall.sh" down "$cluster" >/dev/null
if ((${#failed[@]})); then
    echo "failed: ${failed[*]}; see $work"
    exit 1
fi
rm -rf "$work"
