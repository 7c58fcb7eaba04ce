"""Takes the pictures for scripts/screenshots: the address of a served browser, and the folder for them."""

import base64
import json
import pathlib
import re
import subprocess
import sys
import time
import urllib.parse
import urllib.request

WIDTH, TALLEST = 1100, 820
PHONE, TALLEST_OF_A_PHONE = 375, 780

# How often the first pages are looked at, a little more than a second apart, for their plots to have a line.
LOOKS = 8

# By these links each page is found from another one: its name, where it is found, and what its address holds.
FOUND = [
    ("stream", "streams?by=name&category=accounts", "/stream?"),
    ("event", "search?type=Received", "/event?"),
    ("causes", "event", "/causes?"),
    ("correlation", "event", "/correlation?"),
    ("subscription", "subscriptions", "name=letters"),
]


class Chromium:
    def __init__(self):
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, text=True)
        port = next(found[1] for line in self.driver.stdout if (found := re.search(r"started successfully on port (\d+)", line)))
        self.address = f"http://127.0.0.1:{port}/session"
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"]
        options = {"goog:chromeOptions": {"args": arguments}}
        session = self.call("POST", "", {"capabilities": {"alwaysMatch": options}})
        self.address += "/" + session["sessionId"]

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data, {"content-type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def go(self, address):
        self.call("POST", "/url", {"url": address})

    def script(self, script, *arguments):
        return self.call("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def command(self, command, **parameters):
        return self.call("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def picture(self, file, scheme, width, tallest):
        self.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        size = {"width": width, "deviceScaleFactor": 1, "mobile": width == PHONE}
        self.command("Emulation.setDeviceMetricsOverride", height=300, **size)
        height = self.script("return Math.ceil(document.body.getBoundingClientRect().height)")
        self.command("Emulation.setDeviceMetricsOverride", height=min(height, tallest), **size)
        taken = base64.b64decode(self.command("Page.captureScreenshot", format="png")["data"])
        file.write_bytes(subprocess.run(["pngquant", "48", "--strip", "--nofs", "-"], input=taken, capture_output=True, check=True).stdout)

    def end(self):
        self.call("DELETE", "")
        self.driver.terminate()
        self.driver.wait()


def links_of_streams(chromium):
    """The address of a few streams beside each other, as the form of the streams' page sends it."""
    values = chromium.script("return [...document.querySelectorAll('input[name=stream]')].slice(0, 4).map((one) => one.value)")
    return "beside?" + urllib.parse.urlencode([("stream", value) for value in values])


def addresses(chromium, base):
    pages = {name: base + name for name in ["store", "streams", "search", "subscriptions", "waiting", "outbox", "holders"]}
    for name, place, part in FOUND:
        chromium.go(pages.get(place, base + place))
        find = "return [...document.querySelectorAll('main a')].map((one) => one.href).find((one) => one.includes(arguments[0]))"
        pages[name] = chromium.script(find, part)
        if not pages[name]:
            raise SystemExit(f"nothing leads to {name}")
    chromium.go(base + "streams?by=name&category=accounts")
    pages["beside"] = base + links_of_streams(chromium)
    pages["streams"] = base + "streams?by=name&category=accounts"
    return pages


def main(base, folder):
    folder = pathlib.Path(folder)
    folder.mkdir(exist_ok=True)
    chromium = Chromium()
    try:
        pages = addresses(chromium, base)
        for _ in range(LOOKS):
            for name in ["store", "subscription"]:
                chromium.go(pages[name])
            time.sleep(1.1)
        for name, address in pages.items():
            chromium.go(address)
            for scheme in ["light", "dark"]:
                chromium.picture(folder / f"{name}-{scheme}.png", scheme, WIDTH, TALLEST)
        chromium.go(pages["event"])
        chromium.picture(folder / "event-phone.png", "light", PHONE, TALLEST_OF_A_PHONE)
    finally:
        chromium.end()


main(sys.argv[1].strip(), sys.argv[2])
