// What the browser needs to talk to the gateway.

/** Where the browser finds the gateway: under our own origin (shape a), or at a name of its own (shapes b and c). */
export const GATEWAY = process.env.NEXT_PUBLIC_GATEWAY || '/e'

/** Who is signed in: `GET /session`. */
export type Session = {
  subject: string
  name?: string
  expires_at: string
  providers: { provider: string; email?: string }[]
}

/** An access token and what gets the next one: `POST /session/token`, `POST /tokens/refresh`. */
export type Tokens = { access_token: string; refresh_token: string; expires_in: number }

/** What the gateway answers if something is wrong (RFC 9457). `code` is for programs, `detail` for people. */
export type Problem = { status: number; code: string; detail: string }

export type Answer = { status: number; body: unknown }

/** Calls the gateway from the browser. `token` is for the calls that come without a session. */
export async function call(method: string, path: string, body?: unknown, token?: string): Promise<Answer> {
  const headers: Record<string, string> = {}
  if (body !== undefined) headers['Content-Type'] = 'application/json'
  if (token) headers['Authorization'] = `Bearer ${token}`
  const response = await fetch(GATEWAY + path, {
    method,
    headers,
    body: body === undefined ? undefined : JSON.stringify(body),
    // Sends the session's cookie to the gateway's own name, too (shape b). A preview of Vercel must not: the gateway lets its
    // pages call and read, but never with a cookie, and then the browser refuses a call that asks for one.
    credentials: process.env.NEXT_PUBLIC_VERCEL_ENV === 'preview' ? 'same-origin' : 'include',
  })
  const text = await response.text()
  return { status: response.status, body: text ? JSON.parse(text) : null }
}
