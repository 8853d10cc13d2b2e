// The browser's calls to the gateway.

/** The gateway's URL for the browser: a path of our origin (shape a), or its own origin (shapes b and c). */
export const GATEWAY = process.env.NEXT_PUBLIC_GATEWAY || '/e'

/** The signed-in person: `GET /session`. */
export type Session = {
  subject: string
  name?: string
  expires_at: string
  providers: { provider: string; email?: string }[]
}

/** An access token and a refresh token: `POST /session/token`, `POST /tokens/refresh`. */
export type Tokens = { access_token: string; refresh_token: string; expires_in: number }

/** An error of the gateway (RFC 9457). `code` is for programs, `detail` for people. */
export type Problem = { status: number; code: string; detail: string }

export type Answer = { status: number; body: unknown }

/** Calls the gateway from the browser. `token` is for calls without a session. */
export async function call(method: string, path: string, body?: unknown, token?: string): Promise<Answer> {
  const headers: Record<string, string> = {}
  if (body !== undefined) headers['Content-Type'] = 'application/json'
  if (token) headers['Authorization'] = `Bearer ${token}`
  const response = await fetch(GATEWAY + path, {
    method,
    headers,
    body: body === undefined ? undefined : JSON.stringify(body),
    // `include` sends the session cookie to the gateway's own host, too (shape b). A preview at Vercel must not ask for that: the
    // gateway allows its pages no cookies, so the browser would block the response.
    credentials: process.env.NEXT_PUBLIC_VERCEL_ENV === 'preview' ? 'same-origin' : 'include',
  })
  const text = await response.text()
  return { status: response.status, body: text ? JSON.parse(text) : null }
}
