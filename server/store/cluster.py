"""The primaries of a Redis Cluster, and which of them has a key.

redis-py refuses EVALSHA in a pipeline of its cluster client; here each primary has pipelines of
its own, and what a node redirects goes to the node that it names.
"""

import asyncio
import logging
from contextlib import suppress
from urllib.parse import urlsplit

from redis.asyncio.connection import AbstractConnection
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import MovedError, RedisError, ResponseError, TryAgainError

from server.errors import NotSent
from server.store.command import Command
from server.store.patience import Limit, Patience
from server.store.pipeline import Connect, Pipeline
from server.store.topology import Prepare, connector, disconnect_all, node_url, split_addresses
from server.tasks import keep_going

log = logging.getLogger(__name__)

REFRESH_SECONDS = 0.2
TRY_AGAIN_SECONDS = 0.05

Address = tuple[str, int]


class Cluster:
    """See Topology. `redis+cluster://[user:password@]host:port,host:port`."""

    def __init__(self, url: str, patience: Patience, prepare: Prepare) -> None:
        """Raises ValueError if the URL cannot be used."""
        self._parts = urlsplit(url)
        self._seeds = split_addresses(self._parts, 6379)
        self._patience = patience
        self._prepare = prepare
        self._owners: list[Address | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        self._fast: dict[Address, Pipeline] = {}
        self._bulk: dict[Address, Pipeline] = {}
        self._trouble = asyncio.Event()
        self._refresher: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self._refresh()
        for pipeline in [*self._fast.values(), *self._bulk.values()]:
            await pipeline.tried()
        self._refresher = asyncio.create_task(keep_going(self._keep_fresh, "Following the Cluster"))

    async def close(self) -> None:
        if self._refresher:
            self._refresher.cancel()
            with suppress(asyncio.CancelledError):
                await self._refresher
        for pipeline in [*self._fast.values(), *self._bulk.values()]:
            await pipeline.close()

    def fast(self, key: str) -> Pipeline:
        return self._pipeline(self._fast, self._owner(key))

    def bulk(self, key: str) -> Pipeline:
        return self._pipeline(self._bulk, self._owner(key))

    def primaries(self) -> list[Pipeline]:
        return self._of_each(self._bulk)

    def serving(self) -> list[Pipeline]:
        return self._of_each(self._fast)

    def _of_each(self, pipelines: dict[Address, Pipeline]) -> list[Pipeline]:
        owners = dict.fromkeys(owner for owner in self._owners if owner)
        return [self._pipeline(pipelines, owner) for owner in owners]

    async def connect_all(self) -> list[AbstractConnection]:
        owners = {owner for owner in await self._read_owners() if owner}
        connections: list[AbstractConnection] = []
        try:
            for address in owners:
                connections += [await self._connector(address)()]
        except BaseException:
            await disconnect_all(connections)
            raise
        return connections

    def _owner(self, key: str) -> Address:
        owner = self._owners[key_slot(key.encode())]
        if owner is None:
            self._trouble.set()
            raise NotSent("no server has this slot")
        return owner

    def _connector(self, address: Address) -> Connect:
        return connector(node_url(self._parts, *address), self._prepare)

    def _pipeline(self, pipelines: dict[Address, Pipeline], address: Address) -> Pipeline:
        pipeline = pipelines.get(address)
        if pipeline is None:

            def redirect(command: Command, error: ResponseError) -> None:
                self._redirect(pipelines, address, command, error)

            pipeline = Pipeline(
                self._connector(address), self._patience, self._trouble.set, redirect
            )
            pipeline.start()
            pipelines[address] = pipeline
        return pipeline

    def _redirect(
        self,
        pipelines: dict[Address, Pipeline],
        asked: Address,
        command: Command,
        error: ResponseError,
    ) -> None:
        """The node did not run the command: it goes where the node says, or there once more."""
        if isinstance(error, TryAgainError):
            again = self._pipeline(pipelines, asked).take_over
            asyncio.get_running_loop().call_later(TRY_AGAIN_SECONDS, again, command)
            return
        address = (error.host or asked[0], int(error.port))  # type: ignore[attr-defined]
        if isinstance(error, MovedError):
            self._owners[error.slot_id] = address
            self._trouble.set()
        else:
            # ASK: that node serves this slot only right after ASKING, as it is being moved there.
            command.asking = True
        self._pipeline(pipelines, address).take_over(command)

    async def _keep_fresh(self) -> None:
        await self._trouble.wait()
        self._trouble.clear()
        await self._refresh()
        await asyncio.sleep(REFRESH_SECONDS)
        if any(pipeline.is_down for pipeline in self.serving()):
            self._trouble.set()

    async def _refresh(self) -> None:
        try:
            self._owners = await self._read_owners()
        except Exception as error:
            self._trouble.set()
            if not isinstance(error, (OSError, RedisError)):
                raise
            log.debug("Reading the slots of the Cluster: %s", error)
            return
        current = {owner for owner in self._owners if owner}
        for pipelines in (self._fast, self._bulk):
            for address in current:
                self._pipeline(pipelines, address)
            for address in [address for address in pipelines if address not in current]:
                if pipelines[address].is_down:
                    await pipelines.pop(address).close()

    async def _read_owners(self) -> list[Address | None]:
        """Who has each slot, from the first node that answers. Raises the last node's error."""
        known = [address for address, pipeline in self._fast.items() if not pipeline.is_down]
        failure: Exception = OSError("no server of the Cluster answers")
        for address in dict.fromkeys([*known, *self._seeds]):
            try:
                with Limit(self._patience).until(self._patience.deadline()):
                    connection = await self._connector(address)()
                    await connection.send_command("CLUSTER", "SLOTS")
                    slots = await connection.read_response()
                    await connection.disconnect(nowait=True)
            except (OSError, RedisError, TimeoutError) as error:
                failure = error
                continue
            owners: list[Address | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
            for first, last, (host, port, *_), *_ in slots:
                owner = (host.decode() or address[0], port)
                owners[first : last + 1] = [owner] * (last + 1 - first)
            return owners
        raise failure
