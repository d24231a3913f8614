"""The Python of a release of MindSpore that is not there: it does what the programs do that `make releases` starts.

Starts in milliseconds. What it finds in planted.json of the working directory, by release, it does otherwise.
"""

import json
import shutil
import sys
from pathlib import Path

LABELS = ("convolution", "batch norm", "GELU")


def fingerprint(release, arguments, planted):  # type: ignore[no-untyped-def]
    mode = ("graph", "PyNative")[int(arguments[-1])]
    rows = []
    for name in LABELS:
        out = name == planted.get("row")
        row = {"area": "forward", "group": "stem", "name": name, "error": 3e-3 if out else 1e-7, "bound": 1e-6}
        rows.append({**row, "verdict": "out" if out else "ok", "note": ""})
    facts = {"format": 1, "title": "", "amp_level": "O0", "mode": mode, "salt": "hlg:", "environment": {}, "rows": rows}
    path = Path("build/releases", release, "fingerprint", f"cpu_o0_{mode.lower()}.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**facts, "cause": "it rounds." if "row" in planted else None}))
    return int("row" in planted)


def bench(arguments, planted):  # type: ignore[no-untyped-def]
    seconds = planted.get("ratio", 1.0)
    print("ready", flush=True)
    for _ in sys.stdin:
        print(seconds, flush=True)
    found = {"median_s": seconds, "compile_time_s": 20.0, "peak_memory_bytes": 10**9}
    Path(arguments[arguments.index("--json") + 1]).write_text(json.dumps(found))
    return 0


def main(release, *arguments):  # type: ignore[no-untyped-def]
    planted = json.loads(Path("planted.json").read_text())
    if arguments[0] == "-c":  # which processor?
        print(json.dumps({"model": "AMD EPYC", "kind": None, "cores": 2}))
        return 0
    program = arguments[1].removeprefix("hlg.")
    if release == "base":
        release, program = arguments[-1], "bootstrap"
    mine = planted.get(release, {})
    if mine.get("fail") == program:
        print("Traceback\nerror: No space left on device", file=sys.stderr)
        return 1
    if program == "fingerprint":
        return fingerprint(release, arguments, mine)
    if program == "train":
        shutil.copytree(f"runs/{release}", arguments[-1])
        return 0
    if program == "bench":
        return bench(arguments, mine)
    python = Path(f".venv-{release}/bin/python")
    python.parent.mkdir(parents=True, exist_ok=True)
    python.write_text(Path("base").read_text().replace(" base ", f" {release} "))
    python.chmod(0o755)
    (python.parents[1] / "installed-lock.sha256").write_text(f"lock of {release}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
