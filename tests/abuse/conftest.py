"""What every attack did to the honest users, as a table at the end."""

import pytest

from tests.abuse.harness import Seen

ROWS = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[ROWS] = []


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> "Tell":
    return Tell(request.config.stash[ROWS])


class Tell:
    """Adds a row."""

    def __init__(self, rows: list[str]) -> None:
        self._rows = rows

    def __call__(self, name: str, seen: Seen, statuses: dict[int, int]) -> None:
        times = [seen.quantile(0.5), seen.quantile(0.99), max(seen.large, default=0)]
        cells = "".join(f"{1000 * seconds:8.0f}" for seconds in times)
        answers = " ".join(f"{count} x {status}" for status, count in statuses.items())
        megabytes = seen.peak_bytes / 1e6
        self._rows.append(f"{name:32}{cells}{megabytes:8.0f}  {answers}")


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    rows = config.stash[ROWS]
    if rows:
        terminalreporter.section("honest users beside attackers")
        head = "".join(f"{name:>8}" for name in ("p50 ms", "p99 ms", "2 MiB", "MB"))
        terminalreporter.write_line(f"{'attack':32}{head}  what the attackers got")
        for row in rows:
            terminalreporter.write_line(row)
