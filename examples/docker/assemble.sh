#!/usr/bin/env bash
# Assembles the file system of the CPU image (Dockerfile) without a daemon and sees that it is healthy: the same packages,
# build, user and health check, on Debian bookworm with its own Python instead of the image python:3.12-slim-bookworm.
# As root, with mmdebstrap:
#   examples/docker/assemble.sh FOLDER
# ASSEMBLE_BIND names folders of the host that the build sees read-only: a package mirror, pip's settings, certificates.
set -euo pipefail
here=$(cd "$(dirname "$0")/../.." && pwd)
root=$(realpath -m "$1")/root work=$(realpath -m "$1")/work
if [ "${2-}" != inside ]; then exec unshare --mount --pid --fork --propagation private "$0" "$1" inside; fi

packages() { # of a stage of the Dockerfile: all or those after the second FROM
    grep -oP 'no-install-recommends \K[^&]+' "$here/examples/docker/Dockerfile" | sed -n "$1p"
}
inside() { env -i PATH=/opt/dpiqa/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root "${settings[@]}" chroot "$@"; }
mapfile -t settings < <(env | grep '^PIP_' || true)

mkdir -p "$root" "$work/layer" "$work/build"
if [ ! -e "$root/usr" ]; then # one from an earlier attempt is taken
    mmdebstrap --quiet --variant=minbase --include="ca-certificates python3 python3-venv $(packages 2)" \
        bookworm "$root" /etc/apt/sources.list.d/debian.sources
    inside "$root" useradd --system --uid 10001 --create-home --home-dir /var/lib/dpiqa dpiqa
fi

# The build stage is a layer over it that is thrown away, but for /opt/dpiqa.
mkdir -p "$work/layer/upper" "$work/layer/work"
mount -t overlay overlay -o "lowerdir=$root,upperdir=$work/layer/upper,workdir=$work/layer/work" "$work/build"
mount -t proc proc "$work/build/proc"
mount --rbind /dev "$work/build/dev"
cp -L /etc/resolv.conf "$work/build/etc/resolv.conf"
for folder in ${ASSEMBLE_BIND-}; do
    mkdir -p "$work/build$folder"
    mount --rbind -o ro "$folder" "$work/build$folder"
done
inside "$work/build" sh -c "apt-get update -qq &&
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends python3-dev $(packages 1)" > /dev/null
mkdir "$work/build/source"
for name in $(grep -oP '^COPY (?!--)\K.*(?= \S+$)' "$here/examples/docker/Dockerfile" | head -n 7); do
    cp -r "$here/$name" "$work/build/source/"
done
inside "$work/build" sh -ec 'cd /source && python3 -m venv /opt/dpiqa &&
    /opt/dpiqa/bin/pip install --quiet --no-cache-dir -c constraints.txt ".[openvino,monitor]"'
rm -rf "$root/opt/dpiqa"
cp -a "$work/build/opt/dpiqa" "$root/opt/dpiqa"
cp "$here/examples/docker/healthy.py" "$root/opt/dpiqa/healthy.py"
du -sm "$root" | cut -f1 | sed 's/$/ MB/'

# The image's command, by its user, without network beyond this namespace; a camera that is not there is no fault of its own.
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mkdir -p "$root/etc/dpiqa"
echo 'cameras: [{name: clip, source: /srv/clip.mp4}, {name: absent, source: "rtsp://127.0.0.1:1/none"}]' > "$root/etc/dpiqa/cameras.yaml"
cp "$here/examples/clip.mp4" "$root/srv/clip.mp4"
as_user() { inside --userspec 10001:999 "$root" sh -c "cd /var/lib/dpiqa && HOME=/var/lib/dpiqa exec $1"; }
as_user "dpiqa --version"
as_user "dpiqa monitor /etc/dpiqa/cameras.yaml --prometheus 127.0.0.1:9464" &
monitor=$!
for _ in $(seq 60); do
    if as_user "python /opt/dpiqa/healthy.py 127.0.0.1:9464" 2> /dev/null; then
        echo "healthy"
        kill "$monitor"
        exit 0
    fi
    sleep 2
done
echo "not healthy within two minutes" >&2
exit 1
