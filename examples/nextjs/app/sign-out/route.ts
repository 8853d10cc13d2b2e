import { ask, cookie } from '@/lib/server'

/** Ends the session from our server. Only in shape a: elsewhere the browser does not give us the session's cookie. */
export async function POST(request: Request) {
  // The cookie comes along by itself, so we have to see to it that a page of ours asks. Browsers say so here.
  if (request.headers.get('sec-fetch-site') !== 'same-origin') return new Response('cross-site', { status: 403 })
  const response = await ask('/logout', {
    method: 'POST',
    // X-CSRF tells the gateway that no browser sends this by itself: no page of another site can set that header.
    headers: { Cookie: await cookie(), 'X-CSRF': '1', Accept: 'application/json' },
  })
  if (!response.ok) return new Response(await response.text(), { status: response.status })
  // The gateway's Set-Cookie takes the cookie away. It has to reach the browser.
  const headers = new Headers({ Location: '/' })
  for (const value of response.headers.getSetCookie()) headers.append('Set-Cookie', value)
  return new Response(null, { status: 303, headers })
}
