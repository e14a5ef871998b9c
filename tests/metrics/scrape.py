"""What a scrape of /metrics says, read by an independent parser."""

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.api import ADMIN

Labels = frozenset[tuple[str, str]]


class Scrape:
    """What one scrape says."""

    def __init__(self, text: str) -> None:
        self.values: dict[tuple[str, Labels], float] = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def value(self, name: str, **labels: object) -> float:
        """Of the metrics of that name with these labels, whatever else they have: the sum."""
        wanted = {(label, str(value)) for label, value in labels.items()}
        return sum(v for (n, found), v in self.values.items() if n == name and wanted <= found)

    def labels(self, name: str) -> set[str]:
        """All values of a label, in all metrics."""
        return {value for _, found in self.values for label, value in found if label == name}


def scrape(client: httpx.Client) -> Scrape:
    reply = client.get("/metrics", headers=ADMIN)
    assert reply.status_code == 200, reply.text
    return Scrape(reply.text)
