import { ask, cookie } from '@/lib/server'

/** Ends the session from our server. Only in shape a: in the others the browser does not send us the session cookie. */
export async function POST(request: Request) {
  // The browser sends the cookie by itself, so check that one of our own pages sent this request (Sec-Fetch-Site).
  if (request.headers.get('sec-fetch-site') !== 'same-origin') return new Response('cross-site', { status: 403 })
  const response = await ask('/logout', {
    method: 'POST',
    // X-CSRF tells the gateway that no page of another site caused this request: none of them can set this header.
    headers: { Cookie: await cookie(), 'X-CSRF': '1', Accept: 'application/json' },
  })
  if (!response.ok) return new Response(await response.text(), { status: response.status })
  // The gateway's Set-Cookie deletes the cookie. It has to reach the browser.
  const headers = new Headers({ Location: '/' })
  for (const value of response.headers.getSetCookie()) headers.append('Set-Cookie', value)
  return new Response(null, { status: 303, headers })
}
