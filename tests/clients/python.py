"""Asks over a Unix socket with grpcio, as it is and with the default options of a channel.

    python.py TARGET QUESTION

QUESTION is an `IsAuthorizedRequest` in hexadecimal. Prints a line for each call: the id that was
sent as its metadata `x-request-id`, and the `IsAuthorizedResponse` in hexadecimal.
"""

import asyncio
import sys

import grpc

METHOD = "/humbaba.v1.AuthorizationService/IsAuthorized"
CHANNELS = 5
# On one channel at a time.
CALLS = 200

target, question = sys.argv[1], bytes.fromhex(sys.argv[2])


def arguments(id, large):
    metadata = [("x-request-id", id), ("some-bin", bytes(range(256))), ("authority", "a%2Fb")]
    if large:
        metadata += [(f"large-{n}", "%/ " * 300) for n in range(8)]
    return {"metadata": metadata, "timeout": 30}


def ids(kind):
    return [f"{kind}/100%/{number}" for number in range(CALLS)]


def show(id, answer):
    print(id, answer.hex())


def blocking():
    for number in range(CHANNELS):
        with grpc.insecure_channel(target) as channel:
            ask = channel.unary_unary(METHOD)
            show("first", ask(question, **arguments("first", True)))
            calls = [
                (id, ask.future(question, **arguments(id, id.endswith("0"))))
                for id in ids(f"blocking/{number}")
            ]
            for id, call in calls:
                show(id, call.result())


async def waiting():
    for number in range(CHANNELS):
        async with grpc.aio.insecure_channel(target) as channel:
            ask = channel.unary_unary(METHOD)
            sent = ids(f"waiting/{number}")
            calls = (ask(question, **arguments(id, id.endswith("0"))) for id in sent)
            for id, answer in zip(sent, await asyncio.gather(*calls)):
                show(id, answer)


blocking()
asyncio.run(waiting())
