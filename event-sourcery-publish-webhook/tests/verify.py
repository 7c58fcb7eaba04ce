"""Verifies a request with the Standard Webhooks library for Python: 0 where it is signed, 3 where it is not."""

import json
import sys

from standardwebhooks import Webhook, WebhookVerificationError

request = json.load(sys.stdin)
try:
    Webhook(request["secret"]).verify(request["body"], request["headers"])
except WebhookVerificationError as error:
    print(error, file=sys.stderr)
    sys.exit(3)
