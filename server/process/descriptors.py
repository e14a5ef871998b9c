"""The limit of descriptors, of which each connection takes one and each call to a provider another.

What a shell or container gives is often 1,024, for programs that use select(); any can have more.
"""

import logging
import resource

log = logging.getLogger(__name__)

FEW = 4_096
# macOS says that there is no limit, and takes no more than that.
MACOS_MOST = 10_240


def raise_limit() -> None:
    """For this process and those that it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in (hard, MACOS_MOST):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError):
            continue
        soft = wanted
        break
    if soft != resource.RLIM_INFINITY and soft < FEW:
        log.info("At most %d descriptors: connections beyond that are closed", soft)
