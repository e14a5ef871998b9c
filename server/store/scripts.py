"""The Lua scripts: `lua/*.lua`, each behind what it uses of `lua/prelude/*.lua`."""

import hashlib
import re
from pathlib import Path

from server.store.command import Script

_SERVER = Path(__file__).parent.parent
# A reply's status also says how many holds went back, whatever the script did beside that.
EXPIRED = 100
_PRELUDE = (
    *("base", "ledger", "holds", "extra", "time", "keys", "user", "rate", "once"),
    *("new_user", "account"),
)
"""In this order: each uses those before it."""
_FUNCTION = re.compile(r"^local function (\w+)\(.*?^end\n", re.DOTALL | re.MULTILINE)
_CONSTANTS = re.compile(
    r"^local ([A-Z][A-Z_]+(?:, [A-Z][A-Z_]+)*) = ('[^']*'|[\d, ]+)\n", re.MULTILINE
)
_WORD = re.compile(r"--\[\[.*?\]\]|--[^\n]*|'[^'\n]*'|\b[A-Z][A-Z_]+\b", re.DOTALL)
"""Or a comment or a text, in which it is none."""
_RUN = f"""\
local reply = run()
if reply.err then return reply end
if new_entries then save() end
reply[1] = reply[1] + {EXPIRED} * expired_holds
return reply"""


def load_scripts() -> dict[str, Script]:
    """The scripts by name.

    In a wheel `lua/` lies inside the package, in a checkout beside it.
    """
    folder = _SERVER / "lua" if (_SERVER / "lua").is_dir() else _SERVER.parent / "lua"
    prelude = "\n".join((folder / "prelude" / f"{part}.lua").read_text() for part in _PRELUDE)
    scripts = {}
    for path in sorted(folder.glob("*.lua")):
        text = f"local function run() {path.read_text()}\nend\n{_RUN}"
        whole = _inlined(f"{_used(prelude, text)}\n{text}")
        scripts[path.stem] = Script(
            path.stem, whole, hashlib.sha1(whole.encode(), usedforsecurity=False).hexdigest()
        )
    return scripts


def _used(prelude: str, text: str) -> str:
    """The prelude without the functions that this script does not use: to make all of them anew in
    each run would be a tenth of what a charge costs in Redis."""
    functions = {match[1]: match[0] for match in _FUNCTION.finditer(prelude)}
    used: set[str] = set()
    unread = [text]
    while unread:
        words = set(re.findall(r"\w+", unread.pop()))
        found = words & functions.keys() - used
        used |= found
        unread += [functions[name] for name in found]
    for name in functions.keys() - used:
        prelude = prelude.replace(functions[name], "")
    return prelude


def _inlined(script: str) -> str:
    """The script with the values of its constants in their place: a function that is made anew
    looks for each variable that it uses of those around it, one after the other."""
    values: dict[str, str] = {}
    for names, given in _CONSTANTS.findall(script):
        values |= zip(names.split(", "), given.split(", "), strict=True)
    return _WORD.sub(lambda word: values.get(word[0], word[0]), _CONSTANTS.sub("", script))
