"""The Lua scripts: `lua/*.lua`, each behind the prelude."""

import hashlib
from pathlib import Path

from server.store.command import Script

_SERVER = Path(__file__).parent.parent
# A reply's status also says how many holds went back, whatever the script did beside that.
EXPIRED = 100
_RUN = f"""\
local reply = run()
if reply.err then return reply end
if #new_entries > 0 then save() end
reply[1] = reply[1] + {EXPIRED} * expired_holds
return reply"""


def load_scripts() -> dict[str, Script]:
    """The scripts by name.

    In a wheel `lua/` lies inside the package, in a checkout beside it.
    """
    folder = _SERVER / "lua" if (_SERVER / "lua").is_dir() else _SERVER.parent / "lua"
    texts = {path.stem: path.read_text() for path in sorted(folder.glob("*.lua"))}
    prelude = texts.pop("prelude")
    scripts = {}
    for name, text in texts.items():
        whole = f"{prelude}\nlocal function run() {text}\nend\n{_RUN}"
        scripts[name] = Script(
            name, whole, hashlib.sha1(whole.encode(), usedforsecurity=False).hexdigest()
        )
    return scripts
