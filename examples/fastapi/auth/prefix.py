"""Makes /docs work behind the gateway."""


class ForwardedPrefix:
    """Takes the prefix that the gateway took off the path (X-Forwarded-Prefix: /api/shop) for the ASGI root_path.

    Without it FastAPI's /docs looks for /openapi.json, which outside is /api/shop/openapi.json. The gateway drops the header
    of clients, so it can be believed as long as nobody gets past the gateway.
    """

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] in ("http", "websocket"):
            prefix = dict(scope["headers"]).get(b"x-forwarded-prefix", b"").decode("latin-1")
            if prefix:
                # ASGI wants the root_path at the begin of the path, too.
                scope = {**scope, "root_path": prefix, "path": prefix + scope["path"]}
        await self.app(scope, receive, send)
