"""Reads CloudEvents with the library for Python: a message comes in on each line, and what it says goes out, as JSON."""

import json
import sys

from cloudevents.core.bindings import amqp, http
from cloudevents.core.formats.json import JSONFormat


def read(message):
    body, content_type, headers = message["body"].encode(), message["content_type"], message["headers"]
    if message["binding"] == "amqp":
        properties = {"content-type": content_type}
        return amqp.from_amqp(amqp.AMQPMessage(properties, headers, body), JSONFormat())
    # The library has no binding for NATS, whose headers are those of HTTP, but for the type of the payload.
    if message["binding"] == "http" or not headers:
        headers = {**headers, "content-type": content_type}
    return http.from_http(http.HTTPMessage(headers, body), JSONFormat())


for line in sys.stdin:
    event = read(json.loads(line))
    attributes = {name: str(value) for name, value in event.get_attributes().items()}
    attributes["time"] = event.get_time().isoformat()
    print(json.dumps({"attributes": attributes, "data": event.get_data()}), flush=True)
