"""Exit 0 if the monitor at HOST:PORT serves its metrics, with at least one source in them, else 1."""

import sys
from urllib.request import urlopen


def main(address: str) -> int:
    """Ask once; a source that is down is the camera's trouble, not the container's."""
    try:
        with urlopen(f"http://{address}/metrics", timeout=4) as answer:
            return 0 if b"\ndpiqa_source_up{" in answer.read() else 1
    except OSError as error:
        print(f"no metrics at {address}: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
