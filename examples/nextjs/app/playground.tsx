'use client'

import { useEffect, useState, type FormEvent } from 'react'
import { GATEWAY, call, type Answer, type Problem, type Session, type Tokens } from '@/lib/gateway'

/** All calls of the browser, each with a button. The response is shown below, and in the console (F12). */
export default function Playground() {
  const [who, setWho] = useState<Session | null>(null)
  const [tokens, setTokens] = useState<Tokens | null>(null)
  const [access, setAccess] = useState('')
  const [shown, setShown] = useState('')

  function show(title: string, answer: Answer): boolean {
    console.log(title, answer.body)
    setShown(`${title}\n${answer.status}\n${JSON.stringify(answer.body, null, 2)}`)
    return answer.status < 400
  }

  async function run(method: string, path: string, body?: unknown, token?: string): Promise<Answer> {
    try {
      const answer = await call(method, path, body, token)
      show(`${method} ${path}`, answer)
      return answer
    } catch (error) {
      // The page may read no response: the gateway cannot be reached, or ALLOWED_ORIGINS lacks our origin (CORS).
      const detail = `${error}. Is the gateway running, and is ${location.origin} in its ALLOWED_ORIGINS?`
      const problem: Problem = { status: 0, code: 'no_answer', detail }
      show(`${method} ${path}`, { status: 0, body: problem })
      return { status: 0, body: problem }
    }
  }

  async function whoAmI() {
    const answer = await run('GET', '/session')
    setWho(answer.status === 200 ? (answer.body as Session) : null)
  }

  // Shape b can find out who is signed in only here: the cookie belongs to the gateway's host, and our server never sees it.
  useEffect(() => void whoAmI(), [])

  async function getTokens() {
    const answer = await run('POST', '/session/token')
    if (answer.status === 200) keep(answer.body as Tokens)
  }

  async function refresh() {
    const answer = await run('POST', '/tokens/refresh', { refresh_token: tokens?.refresh_token ?? '' })
    if (answer.status === 200) keep(answer.body as Tokens)
  }

  // In a variable, not in localStorage, which an injected script could read. A reload loses them: get new ones then.
  function keep(fresh: Tokens) {
    setTokens(fresh)
    setAccess(fresh.access_token)
  }

  async function signOut() {
    await run('POST', '/logout')
    setWho(null)
    setTokens(null)
    setAccess('')
  }

  async function passwordForm(event: FormEvent<HTMLFormElement>) {
    event.preventDefault()
    const pressed = (event.nativeEvent as SubmitEvent).submitter as HTMLButtonElement
    const form = new FormData(event.currentTarget)
    const answer = await run('POST', pressed.value, { email: form.get('email'), password: form.get('password') })
    // In shape c the gateway refuses (403 cross_site_session), because the browser would not send the session back to it.
    if (answer.status < 300) await whoAmI()
  }

  return (
    <section>
      <p id="browser-session">
        브라우저가 본 사용자: {who ? (who.name ?? who.subject) : '없음'} <small>({GATEWAY})</small>
      </p>

      <h2>API</h2>
      <button onClick={() => run('GET', '/api/users')}>GET /api/users</button>{' '}
      <button onClick={() => run('POST', '/api/user/login', { username: 'jin', password: 'secret' })}>
        POST /api/user/login
      </button>{' '}
      <button onClick={() => run('GET', '/api/users/me')}>GET /api/users/me (세션)</button>

      <h2>세션과 토큰</h2>
      <button onClick={whoAmI}>내 세션</button> <button onClick={getTokens}>토큰 받기</button>{' '}
      <button onClick={refresh}>토큰 갱신</button> <button onClick={signOut}>로그아웃</button>
      <p>
        {/* Shape c: a page cannot get tokens here. Paste one that you got elsewhere. */}
        <label>
          액세스 토큰 <input id="access" value={access} onChange={(event) => setAccess(event.target.value.trim())} />
        </label>{' '}
        <button onClick={() => run('GET', '/api/users/me', undefined, access)}>GET /api/users/me (토큰)</button>
      </p>

      <h2>이메일로</h2>
      <form onSubmit={passwordForm}>
        <input name="email" type="email" placeholder="이메일" autoComplete="username" required />{' '}
        <input name="password" type="password" placeholder="비밀번호" autoComplete="current-password" required minLength={8} />{' '}
        <button value="/accounts/login">이메일 로그인</button> <button value="/accounts/signup">가입</button>
      </form>

      <pre id="answer" style={{ background: '#8882', padding: '1rem', whiteSpace: 'pre-wrap', overflowWrap: 'anywhere' }}>
        {shown}
      </pre>
    </section>
  )
}
