"""A chat node that knows nothing of tickets: the proxy in front has had them checked, and says in headers who is there.

It follows the broker's feed of revocations, closes what the feed names, and admits nobody while it cannot follow. Python 3.9
or later with `websockets` 10 or later (run with 10.4, which Debian 12 has, 15.0 and 17.1). Before version 13 it answers 400
where a header, such as that of the context, is longer than 4 KB; from then on it takes 8 KB.

    PORT=9000 BROKER_URL=http://127.0.0.1:8080 BROKER_KEY=... python3 chat_node.py

BROKER_KEY is a service key of any scope but `tickets:mint`, such as `tickets:redeem`.

Listens on loopback only: whoever reaches it past the proxy could say that they are anybody.
"""

import asyncio
import collections
import http.client
import json
import os
import sys
import time
import urllib.request
from urllib.parse import unquote

import websockets

PORT = int(os.environ.get("PORT", "9000"))
BROKER_URL = os.environ.get("BROKER_URL", "http://127.0.0.1:8080")
BROKER_KEY = os.environ.get("BROKER_KEY", "")

REVOKED, SESSION_ENDED = 3003, 3000
live = {}
# Revocations of the last two minutes: a handshake that was verified before one of them may arrive after it.
recent = collections.deque()
# By `time.monotonic()`: until then, `recent` is all that is to be known.
current_until = 0.0


async def chat(socket, *_path):
    # Before version 14, the connection itself had them.
    headers = socket.request.headers if hasattr(socket, "request") else socket.request_headers
    user = unquote(headers["X-Auth-Request-User"])
    session = headers["X-Auth-Request-Session"]
    who = (user, session, float(headers["X-Auth-Request-Auth-Time"]))
    if any(reaches(revocation, who) for revocation in recent):
        end(socket, REVOKED)
        return await socket.wait_closed()
    live[socket] = who
    left = int(headers["X-Auth-Request-Expires"]) - time.time()
    over = asyncio.get_running_loop().call_later(left, end, socket, SESSION_ENDED)
    try:
        await socket.send(json.dumps({"type": "welcome", "user": user}))
        async for text in socket:
            if socket not in live or is_reserved(text):
                continue
            message = json.dumps({"type": "message", "user": user, "text": text})
            websockets.broadcast(list(live), message)
    except websockets.ConnectionClosed:
        pass
    finally:
        over.cancel()
        live.pop(socket, None)


def is_reserved(text):
    """Between a client and its node, and nobody else's: to `session.expiring` a client answers with a fresh ticket."""
    try:
        kind = json.loads(text).get("type")
    except (ValueError, AttributeError, RecursionError):
        return False
    return isinstance(kind, str) and (kind == "welcome" or kind.startswith("session."))


def end(socket, code):
    """Whoever is closed has no say any more, and is hung up on when they do not answer."""
    live.pop(socket, None)
    asyncio.ensure_future(socket.close(code))
    asyncio.get_running_loop().call_later(2, socket.transport.abort)


def reaches(revocation, who):
    user, session, auth_time = who
    by_user = revocation.get("sub") == user and auth_time <= revocation["issued_before"]
    return by_user or revocation.get("session_id") == session


def revoke(revocation):
    recent.append(revocation)
    asyncio.get_running_loop().call_later(120, recent.popleft)
    for socket, who in list(live.items()):
        if reaches(revocation, who):
            end(socket, REVOKED)


def mark_current():
    global current_until
    current_until = time.monotonic() + 3


async def refuse_unless_current(*told):
    """Before version 14 told of the path and the headers, since then of the connection and the request."""
    if time.monotonic() < current_until:
        return None
    status = http.HTTPStatus.SERVICE_UNAVAILABLE
    return told[0].respond(status, "") if hasattr(told[0], "respond") else (status, [], b"")


def follow(loop):
    """Reads the feed for ever (server-sent events), and goes on where it was after a break."""
    cursor = None
    while True:
        try:
            request = urllib.request.Request(f"{BROKER_URL}/revocations", headers={"Authorization": f"Bearer {BROKER_KEY}"})
            if cursor:
                request.add_header("Last-Event-ID", cursor)
            with urllib.request.urlopen(request, timeout=5) as feed:
                for line in feed:
                    field, _, value = line.decode().strip().partition(": ")
                    if field == "id":
                        cursor = value
                    elif field == "data":
                        loop.call_soon_threadsafe(revoke, json.loads(value))
                    elif (field, value) == ("", "current"):  # each second: this is all there is
                        loop.call_soon_threadsafe(mark_current)
        except (OSError, http.client.HTTPException) as error:
            print(error, file=sys.stderr, flush=True)
        time.sleep(1)


def choose_protocol(*told):
    """Also lets in who offers none. Before version 14 told of both sides' protocols, since then of the connection, too."""
    return "chat" if all("chat" in offered for offered in told if isinstance(offered, (list, tuple))) else None


async def main():
    loop = asyncio.get_running_loop()
    options = {"subprotocols": ["chat"], "select_subprotocol": choose_protocol}
    async with websockets.serve(chat, "127.0.0.1", PORT, process_request=refuse_unless_current, **options):
        print(f"chat node on {PORT}", flush=True)
        await loop.run_in_executor(None, follow, loop)


asyncio.run(main())
