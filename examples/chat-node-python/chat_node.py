"""A chat node that knows nothing of tickets: the proxy in front has had them checked, and says in headers who is there.

It follows the broker's feed of revocations, and closes what the feed names. Python 3.9 or later with `websockets` 10 or
later (run with 10.4, which Debian 12 has, 15.0 and 17.1). Before version 13 it answers 400 where a header, such as that of
the context, is longer than 4 KB; from then on it takes 8 KB.

    PORT=9000 BROKER_URL=http://127.0.0.1:8080 BROKER_KEY=... python3 chat_node.py

Listens on loopback only: whoever reaches it past the proxy could say that they are anybody.
"""

import asyncio
import json
import os
import time
import urllib.request
from urllib.parse import unquote

import websockets

PORT = int(os.environ.get("PORT", "9000"))
BROKER_URL = os.environ.get("BROKER_URL", "http://127.0.0.1:8080")
BROKER_KEY = os.environ.get("BROKER_KEY", "")

REVOKED, SESSION_ENDED = 3003, 3000
live = {}


async def chat(socket, *_path):
    # Before version 14, the connection itself had them.
    headers = socket.request.headers if hasattr(socket, "request") else socket.request_headers
    user = unquote(headers["X-Auth-Request-User"])
    session = headers["X-Auth-Request-Session"]
    live[socket] = (user, session, float(headers["X-Auth-Request-Auth-Time"]))
    left = int(headers["X-Auth-Request-Expires"]) - time.time()
    end = asyncio.get_running_loop().call_later(left, lambda: asyncio.ensure_future(socket.close(SESSION_ENDED)))
    try:
        await socket.send(json.dumps({"type": "welcome", "user": user}))
        async for text in socket:
            if is_reserved(text):
                continue
            message = json.dumps({"type": "message", "user": user, "text": text})
            websockets.broadcast(list(live), message)
    except websockets.ConnectionClosed:
        pass
    finally:
        end.cancel()
        live.pop(socket, None)


def is_reserved(text):
    """Between a client and its node, and nobody else's: to `session.expiring` a client answers with a fresh ticket."""
    try:
        kind = json.loads(text).get("type")
    except (ValueError, AttributeError, RecursionError):
        return False
    return isinstance(kind, str) and (kind == "welcome" or kind.startswith("session."))


def close_revoked(revocation):
    for socket, (user, session, auth_time) in list(live.items()):
        by_user = revocation.get("sub") == user and auth_time <= revocation["issued_before"]
        if by_user or revocation.get("session_id") == session:
            asyncio.ensure_future(socket.close(REVOKED, revocation.get("reason", "revoked")))


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
                        loop.call_soon_threadsafe(close_revoked, json.loads(value))
        except OSError:
            pass
        time.sleep(1)


def choose_protocol(*told):
    """Also lets in who offers none. Before version 14 told of both sides' protocols, since then of the connection, too."""
    return "chat" if all("chat" in offered for offered in told if isinstance(offered, (list, tuple))) else None


async def main():
    loop = asyncio.get_running_loop()
    options = {"subprotocols": ["chat"], "select_subprotocol": choose_protocol}
    async with websockets.serve(chat, "127.0.0.1", PORT, **options):
        print(f"chat node on {PORT}", flush=True)
        await loop.run_in_executor(None, follow, loop)


asyncio.run(main())
