"""Makes /docs work behind the gateway."""


class ForwardedPrefix:
    """Sets the ASGI root_path to the prefix that the gateway removed from the path (X-Forwarded-Prefix: /api/shop).

    Without it FastAPI's /docs loads /openapi.json instead of /api/shop/openapi.json. The gateway drops this header from
    clients' requests, so it can be trusted as long as the service can be reached only through the gateway.
    """

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] in ("http", "websocket"):
            prefix = dict(scope["headers"]).get(b"x-forwarded-prefix", b"").decode("latin-1")
            if prefix:
                # ASGI requires the path to begin with the root_path.
                scope = {**scope, "root_path": prefix, "path": prefix + scope["path"]}
        await self.app(scope, receive, send)
