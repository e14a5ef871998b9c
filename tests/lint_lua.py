"""`python -m tests.lint_lua`: luacheck over each script as Redis gets it, prelude in front."""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from server.store.scripts import load_scripts

_UNUSED = ("W211", "W221")


def main() -> int:
    luacheck = shutil.which("luacheck")
    if luacheck is None:
        print("luacheck is missing (Debian: apt-get install lua-check)", file=sys.stderr)
        return 1
    faults = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, script in load_scripts().items():
            path = Path(folder) / f"{name}.lua"
            path.write_text(script.text)
            lines = script.text.splitlines()
            prelude_lines = lines.index("local function run() --[[")
            command = [luacheck, "--formatter", "plain", "--codes", "--std", "lua51"]
            known = ["redis", "cjson", "struct", "KEYS", "ARGV"]
            command += ["--read-globals", *known, "--", str(path)]
            output = subprocess.run(command, capture_output=True, text=True, check=False).stdout
            for number, text in re.findall(r"\.lua:(\d+):\d+: (.*)", output):
                # No script uses all of the prelude.
                if int(number) <= prelude_lines and text[1:5] in _UNUSED:
                    continue
                faults += 1
                print(f"{name}.lua, {lines[int(number) - 1].strip()}: {text}")
    print(f"luacheck: {faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
