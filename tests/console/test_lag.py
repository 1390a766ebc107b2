import asyncio

import faust
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from yarl import URL

from streams.diskless import DisklessApp
from streams.embedded import EmbeddedBroker, embedded_settings
from streams.lag import unread
from streams.transport import BatchMessage, batch_topic


async def test_records_count_as_unread_until_they_are_acknowledged(embedded_broker: EmbeddedBroker) -> None:
    address = embedded_broker.address
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    await admin.create_topics([NewTopic("metrics", 1, 1)])
    await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=address) as producer:
        for number in range(5):
            await producer.send_and_wait("metrics", b"%d" % number, partition=0)

    app = DisklessApp(
        "lag",
        broker=[URL(f"tidegate://{address}")],
        consumer_auto_offset_reset="earliest",
        topic_disable_leader=True,
        topic_partitions=1,
        web_enabled=False,
        **embedded_settings(),
    )
    seen: asyncio.Queue[BatchMessage] = asyncio.Queue()

    @app.agent(batch_topic(app, "metrics"))
    async def agent(stream: faust.Stream[bytes]) -> None:
        async for event in stream.noack().events():
            await seen.put(event.message)

    await app.start()
    try:
        read = 0
        async with asyncio.timeout(60):
            while read < 5:
                read = (message := await seen.get()).end
        before = list(unread(app))
        app.transport.acknowledge(message.tp, message.end)
        await app.consumer.commit()
        assert before == [("metrics", 0, 5)]
        assert list(unread(app)) == [("metrics", 0, 0)]
    finally:
        await app.stop()
