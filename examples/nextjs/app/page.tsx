import { headers } from 'next/headers'
import { GATEWAY } from '@/lib/gateway'
import { ask, session } from '@/lib/server'
import Playground from './playground'

// A server component: it runs on our server for each request, and the browser gets the finished page.
export default async function Page() {
  const [who, users] = await Promise.all([session(), ask('/api/users').then((response) => response.json())])
  // Where the gateway sends the browser after the sign-in: a path in shape a; otherwise our origin, which must be one of its
  // ALLOWED_ORIGINS.
  const asked = await headers()
  const origin = `${asked.get('x-forwarded-proto') ?? 'http'}://${asked.get('x-forwarded-host') ?? asked.get('host')}`
  const back = process.env.NEXT_PUBLIC_GATEWAY ? `${origin}/` : '/'
  return (
    <main>
      <h1>게이트웨이 예제</h1>
      <p id="server-session">서버가 본 사용자: {who ? (who.name ?? who.subject) : '없음'}</p>
      <p id="server-users">서버가 부른 GET /api/users: {users.message}</p>
      <p>
        {/* <a>, not <Link>: a sign-in begins with a navigation, and <Link> would prefetch it. */}
        <a id="sign-in" href={`${GATEWAY}/login?return_to=${encodeURIComponent(back)}`}>
          로그인
        </a>
      </p>
      {who && (
        <form action="/sign-out" method="post">
          <button id="server-sign-out">서버를 거쳐 로그아웃</button>
        </form>
      )}
      <Playground />
    </main>
  )
}
