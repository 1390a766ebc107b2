"""A producer that keeps a rate.

`python -m bench.feed ADDRESS TOPIC SERIES RATE SECONDS [SPIKES [FIRST_STEP]]` sends one-sample JSON
records, RATE a second for SECONDS, each with the time at which it was handed to the producer. The share
SPIKES of the samples is far off, but none while the first tenth of SECONDS lasts, in which detectors learn.
FIRST_STEP samples of each series were sent before. Prints JSON lines: `event` `began`, then `ended` with
`records` and the `rate` that was kept.
"""

import asyncio
import json
import sys
import time

from aiokafka import AIOKafkaProducer

from bench.load import Load, send

QUIET = 0.1
BATCH = 1000  # samples that travel together


async def feed(address: str, topic: str, samples: Load, rate: float, seconds: float, spikes: float) -> int:
    """Send for `seconds` and return the records sent; where the rate cannot be kept, what can be sent."""
    loop = asyncio.get_running_loop()
    sent, began = 0, loop.time()
    async with AIOKafkaProducer(bootstrap_servers=address, acks=1) as producer:
        while loop.time() - began < seconds:
            samples.spikes = spikes if loop.time() - began > QUIET * seconds else 0.0
            for batch in samples.step():
                await send(producer, topic, batch)
                sent += batch.records
                early = began + sent / rate - loop.time()
                if early > 0:
                    await asyncio.sleep(early)
    return sent


def main() -> None:
    """Feed, and tell when it begins and ends."""
    address, topic, series, rate, seconds, spikes, first_step = [*sys.argv[1:], "0", "0"][:7]
    samples = Load(
        int(series),
        clock=lambda: time.time_ns() // 1_000_000,
        samples_per_batch=BATCH,
        first_step=int(first_step),
    )
    began = time.time()
    print(json.dumps({"event": "began", "at": began}), flush=True)
    sent = asyncio.run(feed(address, topic, samples, float(rate), float(seconds), float(spikes)))
    took = time.time() - began
    print(json.dumps({"event": "ended", "at": time.time(), "records": sent, "rate": sent / took}), flush=True)


if __name__ == "__main__":
    main()
