import type { NextConfig } from 'next'

const gateway = process.env.GATEWAY_URL

const config: NextConfig = {
  // Shape a: whatever the browser asks under /e is the gateway's business, sign-in and its callbacks included. The browser sees
  // one origin, so the session's cookie is ours, too, and no CORS is needed.
  // Next.js reads GATEWAY_URL here while it builds: after a change, build again.
  async rewrites() {
    if (process.env.NEXT_PUBLIC_GATEWAY || !gateway) return []
    return [
      { source: '/e/:path*/', destination: `${gateway}/e/:path*/` },
      { source: '/e/:path*', destination: `${gateway}/e/:path*` },
    ]
  },
  // Next.js would take the slash off /e/api/shop/orders/, and FastAPI would send the browser back to put it on, for ever.
  skipTrailingSlashRedirect: true,
}

export default config
