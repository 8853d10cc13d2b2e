import 'server-only'
import { headers } from 'next/headers'
import type { Session } from './gateway'

/** Calls the gateway from our server. */
export function ask(path: string, init?: RequestInit): Promise<Response> {
  // Never cached: Next.js would show one person's response to another.
  return fetch(`${process.env.GATEWAY_URL}${path}`, { cache: 'no-store', ...init })
}

/** The browser's cookies, to pass on. The session is among them only in shape a: in the others only the gateway gets it. */
export async function cookie(): Promise<string> {
  return (await headers()).get('cookie') ?? ''
}

/** The person who is signed in in this browser. */
export async function session(): Promise<Session | null> {
  const response = await ask('/session', { headers: { Cookie: await cookie(), Accept: 'application/json' } })
  if (response.status === 401) return null
  if (!response.ok) throw new Error(`the gateway responded ${response.status}: ${await response.text()}`)
  return response.json()
}
