"""A browser without a window, of a profile of its own, with one page; no driver is needed."""

import shutil
import signal
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from tests.processes import Process

# Chromium's sandbox needs what root in a container does not have, as does its shared memory.
_CHROMIUM = ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
_FIRST_RUN = ["--no-first-run", "--no-default-browser-check", "--disable-component-update"]
# A page may open further tabs: Chromium without a window takes one address.
_TABS = "--disable-popup-blocking"
# A page that talks: who agrees at once, has a microphone that beeps, and hears without a click.
_TALKS = [
    *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"),
    "--autoplay-policy=no-user-gesture-required",
]
_PREFERENCES = """user_pref("dom.disable_open_during_load", false);
user_pref("media.navigator.streams.fake", true);
user_pref("media.navigator.permission.disabled", true);
user_pref("media.autoplay.default", 0);
user_pref("media.autoplay.blocking_policy", 0);
user_pref("media.cubeb.force_mock_context", true);
"""
COMMANDS = {
    "chromium": ["chromium", *_CHROMIUM, *_FIRST_RUN, *_TALKS, _TABS, "--user-data-dir={profile}"],
    "firefox": ["firefox-esr", "--headless", "--no-remote", "--profile", "{profile}"],
}
"""By name, as Debian calls them."""


class Browser(Process):
    """`folder` is for its profile and its output; `options` are the browser's own."""

    def __init__(self, name: str, folder: Path, page: str, *options: str) -> None:
        program, *arguments = COMMANDS[name]
        assert shutil.which(program), f"{program} is not installed"
        profile = folder / "profile"
        profile.mkdir()
        (profile / "user.js").write_text(_PREFERENCES)  # Firefox's
        command = [program, *(one.format(profile=profile) for one in arguments), *options, page]
        super().__init__(command, {"HOME": str(folder)}, folder / "out")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        with suppress(ProcessLookupError):  # none of its processes is left
            self.signal_group(signal.SIGKILL)
