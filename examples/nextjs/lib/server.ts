import 'server-only'
import { headers } from 'next/headers'
import type { Session } from './gateway'

/** Calls the gateway from our server. */
export function ask(path: string, init?: RequestInit): Promise<Response> {
  // Never cached: Next.js would show one person's answer to the next.
  return fetch(`${process.env.GATEWAY_URL}${path}`, { cache: 'no-store', ...init })
}

/** The browser's cookies, to be passed on. The session is among them in shape a alone: elsewhere it is the gateway's. */
export async function cookie(): Promise<string> {
  return (await headers()).get('cookie') ?? ''
}

/** Who is signed in in the browser that asks us. */
export async function session(): Promise<Session | null> {
  const response = await ask('/session', { headers: { Cookie: await cookie(), Accept: 'application/json' } })
  if (response.status === 401) return null
  if (!response.ok) throw new Error(`the gateway answered ${response.status}: ${await response.text()}`)
  return response.json()
}
