"""A client as KEDA is one: generated from the published interface, in a process of its own.

`python keda_client.py PROTO ADDRESS CALL JSON` prints the answer, or the error's code and words, as JSON;
`StreamIsActive` prints a line for each answer, until its input ends.
"""

import json
import sys
import threading
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.json_format import MessageToDict, ParseDict


def main() -> None:
    """Make the call."""
    proto, address, call, request = sys.argv[1:]
    sys.path.insert(0, str(Path(proto).parent))
    messages: Any
    services: Any
    messages, services = grpc.protos_and_services(Path(proto).name)  # type: ignore[attr-defined]
    with grpc.insecure_channel(address) as channel:
        stub = services.ExternalScalerStub(channel)
        kind = messages.GetMetricsRequest if call == "GetMetrics" else messages.ScaledObjectRef
        message = ParseDict(json.loads(request), kind())
        try:
            answer = getattr(stub, call)(message, timeout=60)
            if call != "StreamIsActive":
                print(json.dumps(MessageToDict(answer)), flush=True)
                return
            threading.Thread(target=lambda: (sys.stdin.read(), answer.cancel()), daemon=True).start()
            for each in answer:
                print(json.dumps({"result": each.result}), flush=True)
        except grpc.RpcError as error:
            print(json.dumps({"code": error.code().name, "words": error.details()}), flush=True)


if __name__ == "__main__":
    main()
