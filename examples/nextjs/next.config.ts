import type { NextConfig } from 'next'

const gateway = process.env.GATEWAY_URL

const config: NextConfig = {
  // Shape a: every request under /e goes to the gateway, including sign-in and its callbacks. The browser sees one origin, so
  // our server gets the session cookie, too, and CORS is not needed.
  // Next.js reads GATEWAY_URL at build time: build again after a change.
  async rewrites() {
    if (process.env.NEXT_PUBLIC_GATEWAY || !gateway) return []
    return [
      { source: '/e/:path*/', destination: `${gateway}/e/:path*/` },
      { source: '/e/:path*', destination: `${gateway}/e/:path*` },
    ]
  },
  // Next.js would redirect /e/api/shop/orders/ to the path without its slash, and FastAPI back again, in a loop.
  skipTrailingSlashRedirect: true,
}

export default config
