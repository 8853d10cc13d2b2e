// Builds the example, puts it and the gateway behind TLS as Vercel and Railway do, and tests the three shapes with a browser.
// If something differs from README.md, it exits with 1 and a message.
//
//   GATEWAY=/path/to/gateway node run.mjs [a|local|b|c …]
//   CHROMIUM (/usr/bin/chromium), SHOTS (a folder for screenshots)
import { execFileSync, spawn } from 'node:child_process'
import { createWriteStream, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import http from 'node:http'
import https from 'node:https'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { chromium } from 'playwright-core'

const example = path.resolve(import.meta.dirname, '..')
const gatewayBinary = path.resolve(process.env.GATEWAY ?? path.join(example, '../../target/release/gateway'))
const shots = process.env.SHOTS
const folder = mkdtempSync(path.join(os.tmpdir(), 'nextjs-example-'))
const running = []
let shape // the one that is under way
let built // the shape of the build that is there

const app = 'https://app.example.com' // the front end in the shapes a and b
const api = 'https://api.example.com' // the gateway in the shapes b and c
const elsewhere = 'https://my-app.vercel.app' // the front end in the shape c
const preview = 'https://my-app-git-main-team.vercel.app' // one of its previews
const railway = 'gateway-production.up.railway.app' // the gateway's name there in the shape a

// ---- small things ----

function check(what, isSo, seen) {
  if (!isSo) throw new Error(`${what}${seen === undefined ? '' : `; there was: ${typeof seen === 'string' ? seen : JSON.stringify(seen)}`}`)
  console.log(`  ok  ${what}`)
}

function freePort() {
  return new Promise((resolve, reject) => {
    const server = net.createServer().once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })
}

async function answers(url) {
  for (let tries = 0; tries < 150; tries++) {
    try {
      await fetch(url)
      return
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
  }
  throw new Error(`nothing answers at ${url}; its log is in ${folder}`)
}

function start(name, command, args, options) {
  const child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
  const log = createWriteStream(path.join(folder, `${shape}-${name}.log`))
  child.stdout.pipe(log)
  child.stderr.pipe(log)
  child.once('error', (error) => console.error(`${name}: ${error.message}`))
  running.push(() => new Promise((resolve) => (child.exitCode !== null ? resolve() : (child.once('exit', resolve), child.kill()))))
}

async function stopAll() {
  for (const stop of running.splice(0).reverse()) await stop()
}

/** An edge like Vercel's and Railway's: TLS to the browser, HTTP to the server, and X-Forwarded-… headers. */
async function edge(to) {
  const tls = { key: readFileSync(`${folder}/key.pem`), cert: readFileSync(`${folder}/cert.pem`) }
  return listen(https.createServer(tls, forward(to, (host) => ({ 'x-forwarded-proto': 'https', 'x-forwarded-host': host, 'x-forwarded-for': '203.0.113.7' }))), 0)
}

/** Vercel's servers call Railway's: the Host is the gateway's name at Railway. */
async function toRailway(from, to) {
  return listen(http.createServer(forward(to, () => ({ host: railway, 'x-forwarded-proto': 'https', 'x-forwarded-for': '198.51.100.9' }))), from)
}

function forward(to, added) {
  return (request, response) => {
    const headers = { ...request.headers, ...added(request.headers.host) }
    const inner = http.request({ host: '127.0.0.1', port: to, method: request.method, path: request.url, headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.rawHeaders)
      answer.pipe(response)
    })
    inner.once('error', () => (response.headersSent ? response.destroy() : response.writeHead(502).end()))
    request.pipe(inner)
  }
}

async function listen(server, port) {
  await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve))
  running.push(() => new Promise((resolve) => (server.close(resolve), server.closeAllConnections())))
  return server.address().port
}

// ---- the programs ----

async function gateway(settings, port) {
  port ??= await freePort()
  const admin = await freePort()
  const home = mkdtempSync(path.join(folder, 'gateway-')) // neither .env nor gateway.toml there: the shipped routes
  start('gateway', gatewayBinary, [], {
    cwd: home,
    env: {
      PATH: process.env.PATH,
      GATEWAY_ENV: 'development', // brings the stand-in provider and a sample AUTH service along
      PORT: String(port),
      ADMIN_ADDR: `127.0.0.1:${admin}`,
      TRUSTED_PROXIES: '127.0.0.1', // the edge above; at Railway 100.64.0.0/10
      ...settings,
    },
  })
  await answers(`http://127.0.0.1:${port}/readyz`)
  return port
}

function build(name, env) {
  if (built === name) return
  built = name
  console.log(`  next build with ${JSON.stringify(env)}`)
  execFileSync('nice', ['-n', '10', 'npx', 'next', 'build'], { cwd: example, env: nextEnv(env), stdio: ['ignore', 'ignore', 'inherit'] })
}

function nextEnv(env) {
  return { PATH: process.env.PATH, HOME: process.env.HOME, NEXT_TELEMETRY_DISABLED: '1', ...env }
}

async function next(env, port) {
  port ??= await freePort()
  start('next', process.execPath, ['node_modules/next/dist/bin/next', 'start', '-H', '127.0.0.1', '-p', String(port)], { cwd: example, env: nextEnv(env) })
  await answers(`http://127.0.0.1:${port}/favicon.ico`)
  return port
}

let context

/** The text of the last page, for the error message. */
async function text() {
  const page = context?.pages().at(-1)
  return page ? `${page.url()} ${await page.textContent('body', { timeout: 1000 }).catch(() => '')}`.slice(0, 1500) : 'nothing'
}

async function browser(hosts) {
  const rules = Object.entries(hosts).map(([url, port]) => `MAP ${new URL(url).host} 127.0.0.1:${port}`)
  const opened = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-quic', '--disable-background-networking', `--host-resolver-rules=${rules.join(', ')}, MAP * ~NOTFOUND`],
  })
  running.push(() => opened.close())
  context = await opened.newContext({ ignoreHTTPSErrors: true, locale: 'ko-KR' })
  context.setDefaultTimeout(15_000)
  return context
}

// ---- the person ----

/** Presses a button of the page, waits for the response below it, and returns it. */
async function press(page, button) {
  await page.evaluate(() => (document.querySelector('#answer').textContent = ''))
  await page.getByRole('button', { name: button, exact: true }).click()
  await page.waitForFunction(() => document.querySelector('#answer').textContent.includes('\n'))
  const [title, status, ...body] = (await page.textContent('#answer')).split('\n')
  return { title, status: Number(status), body: JSON.parse(body.join('\n')) }
}

async function open(page, url) {
  await page.goto(url)
  await page.waitForFunction(() => document.querySelector('#answer')?.textContent.includes('\n')) // the first GET /session
}

async function signIn(page, backAt) {
  await page.click('#sign-in')
  await page.getByRole('link', { name: /Stand-in/ }).click()
  check(`the stand-in provider asks who signs in (${new URL(page.url()).origin})`, /\/(e\/)?api\/stand-in\/authorize/.test(page.url()) && (await page.locator('#name').count()) === 1, page.url())
  await page.fill('#name', '홍길동')
  await page.getByRole('button', { name: 'Sign in · 로그인' }).click()
  await page.waitForURL(backAt)
  await page.waitForSelector('#browser-session')
}

async function shot(page, name) {
  if (!shots) return
  mkdirSync(shots, { recursive: true })
  await page.screenshot({ path: path.join(shots, `${name}.png`), fullPage: true })
}

async function openCalls(page) {
  const users = await press(page, 'GET /api/users')
  check('GET /api/users from the browser', users.status === 200 && users.body.message === 'Welcome from AUTH service', users)
  const login = await press(page, 'POST /api/user/login')
  check('POST /api/user/login from the browser', login.status === 200 && /jin/.test(login.body.message), login)
}

/** The calls that a session allows, in the shapes a and b alike. */
async function withSession(page, name) {
  const logged = []
  page.on('console', (message) => logged.push(message.text()))
  await page.waitForFunction(() => document.querySelector('#browser-session').textContent.includes('홍길동'))
  check('the browser sees who is signed in', true)
  const me = await press(page, 'GET /api/users/me (세션)')
  check('GET /api/users/me with the session', me.status === 200 && Boolean(me.body.subject), me)
  const tokens = await press(page, '토큰 받기')
  check('POST /session/token', tokens.status === 200 && tokens.body.access_token?.split('.').length === 3, tokens)
  check('the tokens stand in the console (F12)', logged.some((line) => line.startsWith('POST /session/token')), logged)
  const mine = await press(page, 'GET /api/users/me (토큰)')
  check('GET /api/users/me with the access token', mine.status === 200 && mine.body.subject === me.body.subject, mine)
  await shot(page, `${name}-signed-in`)
  const fresh = await press(page, '토큰 갱신')
  check('POST /tokens/refresh gives another pair', fresh.status === 200 && fresh.body.refresh_token !== tokens.body.refresh_token, fresh)
  const again = await press(page, 'GET /api/users/me (토큰)')
  check('GET /api/users/me with the new access token', again.status === 200, again)
  await openCalls(page)
  return fresh.body.access_token
}

// ---- the three shapes ----

/** For the builds: the address of the gateway, or of the edge in front of it. Next.js keeps it for its rewrites. */
const behind = await freePort()

const shapes = {
  async a() {
    // ALLOWED_ORIGINS only because this is development, where sign-ups must use a host of the settings. Next.js sends the host
    // that the browser uses in X-Forwarded-Host.
    await toRailway(behind, await gateway({ PUBLIC_URL: `${app}/e`, ALLOWED_ORIGINS: preview }))
    const env = { GATEWAY_URL: `http://127.0.0.1:${behind}` }
    build('a', env)
    const front = await edge(await next(env))
    const context = await browser({ [app]: front, [preview]: front })
    const page = await context.newPage()

    await open(page, `${app}/`)
    check('the server calls GET /api/users', (await page.textContent('#server-users')).includes('Welcome from AUTH service'))
    check('nobody is signed in, says the server', (await page.textContent('#server-session')).includes('없음'))
    await openCalls(page)
    const slash = await page.evaluate(async () => (await fetch('/e/')).redirected)
    check('a slash at the end of a path stays', slash === false)
    await signIn(page, `${app}/`)
    check('the server sees who is signed in', (await page.textContent('#server-session')).includes('홍길동'))
    const access = await withSession(page, 'a')
    const cookies = await context.cookies()
    check('the session is a cookie of the front end, and no script can read it', cookies.some(({ name, domain, httpOnly }) => name.startsWith('__Host-') && domain === 'app.example.com' && httpOnly), cookies)

    await page.click('#server-sign-out')
    await page.waitForFunction(() => document.querySelector('#server-session')?.textContent.includes('없음'))
    check('signed out by the server, with X-CSRF', page.url() === `${app}/`, page.url())
    await page.fill('#access', access)
    const ended = await press(page, 'GET /api/users/me (토큰)')
    check('the tokens of the session ended with it', ended.status === 401, ended)

    await signIn(page, `${app}/`)
    const out = await press(page, '로그아웃')
    check('signed out by the browser', out.status === 200, out)
    await shot(page, 'a-signed-out')

    await page.fill('[name=email]', 'jin@example.com')
    await page.fill('[name=password]', 'correct horse battery')
    await press(page, '가입')
    await page.waitForFunction(() => document.querySelector('#browser-session').textContent.includes('없음') === false)
    check('signed up by e-mail', true)
    await press(page, '로그아웃')
    await press(page, '이메일 로그인')
    await page.waitForFunction(() => document.querySelector('#browser-session').textContent.includes('없음') === false)
    check('signed in by e-mail', true)

    const other = await context.newPage()
    await open(other, `${preview}/`)
    await other.fill('[name=email]', 'preview@example.com')
    await other.fill('[name=password]', 'correct horse battery')
    await press(other, '가입')
    await other.waitForFunction(() => document.querySelector('#browser-session').textContent.includes('없음') === false)
    check('on a preview one signs up by e-mail, too: its /e is the same gateway', true)
    await other.click('#sign-in')
    await other.getByRole('link', { name: /Stand-in/ }).click()
    await other.fill('#name', '홍길동')
    await other.getByRole('button', { name: 'Sign in · 로그인' }).click()
    await other.waitForURL((url) => url.href.startsWith(`${app}/e/login/stand-in/callback`))
    check('but not at a provider: that sends the browser back to PUBLIC_URL', (await other.textContent('body')).includes('was not started in this browser'))
    await shot(other, 'a-preview-provider')
  },

  /** Shape a on a developer's machine, as in .env.example: no TLS, everything at localhost. */
  async local() {
    const port = await freePort()
    await gateway({ PUBLIC_URL: `http://localhost:${port}/e`, TRUSTED_PROXIES: '' }, behind)
    const env = { GATEWAY_URL: `http://127.0.0.1:${behind}` }
    build('a', env)
    await next(env, port)
    const context = await browser({ [`http://localhost:${port}`]: port })
    const page = await context.newPage()
    await open(page, `http://localhost:${port}/`)
    await signIn(page, `http://localhost:${port}/`)
    check('the server sees who is signed in', (await page.textContent('#server-session')).includes('홍길동'))
    await withSession(page, 'local')
    await page.click('#server-sign-out')
    await page.waitForFunction(() => document.querySelector('#server-session')?.textContent.includes('없음'))
    check('signed out by the server', true)
  },

  async b() {
    const port = await gateway({ PUBLIC_URL: api, ALLOWED_ORIGINS: app }, behind)
    const env = { GATEWAY_URL: `http://127.0.0.1:${port}`, NEXT_PUBLIC_GATEWAY: api }
    build('b', env)
    const context = await browser({ [app]: await edge(await next(env)), [api]: await edge(port) })
    const page = await context.newPage()

    await open(page, `${app}/`)
    check('the server calls GET /api/users', (await page.textContent('#server-users')).includes('Welcome from AUTH service'))
    await openCalls(page)
    await signIn(page, `${app}/`)
    check('the server does not see who is signed in: the cookie is the gateway\'s', (await page.textContent('#server-session')).includes('없음'))
    await withSession(page, 'b')
    const out = await press(page, '로그아웃')
    check('signed out by the browser', out.status === 200, out)
    check('nobody is signed in afterwards', (await press(page, '내 세션')).status === 401)
    await shot(page, 'b-signed-out')
  },

  async c() {
    const port = await gateway({ PUBLIC_URL: api, ALLOWED_ORIGINS: `${elsewhere},https://*-team.vercel.app` }, behind)
    const env = { GATEWAY_URL: `http://127.0.0.1:${port}`, NEXT_PUBLIC_GATEWAY: api }
    build('b', env) // the same build as of shape b: only the front end's name differs
    const front = await edge(await next(env))
    const context = await browser({ [elsewhere]: front, [preview]: front, [api]: await edge(port) })
    const page = await context.newPage()

    await open(page, `${elsewhere}/`)
    check('the server calls GET /api/users', (await page.textContent('#server-users')).includes('Welcome from AUTH service'))
    await openCalls(page)
    await signIn(page, `${elsewhere}/`)
    const who = await press(page, '내 세션')
    check('no session reaches the gateway from a page of another site', who.status === 401, who)
    await page.fill('[name=email]', 'jin@example.com')
    await page.fill('[name=password]', 'correct horse battery')
    for (const button of ['이메일 로그인', '가입']) {
      const refused = await press(page, button)
      check(`${button}: the gateway says why this cannot work: "${refused.body.detail}"`, refused.status === 403 && refused.body.code === 'cross_site_session', refused)
    }
    await shot(page, 'c-refused')

    // The sign-in at the gateway itself worked. A token from there works from any page.
    const own = await context.newPage()
    await own.goto(`${api}/session`)
    const tokens = await own.evaluate(async () => (await fetch('/session/token', { method: 'POST' })).json())
    check('the gateway\'s own page gets tokens', Boolean(tokens.access_token), tokens)
    await page.fill('#access', tokens.access_token)
    const me = await press(page, 'GET /api/users/me (토큰)')
    check('GET /api/users/me with the access token', me.status === 200 && Boolean(me.body.subject), me)
    await shot(page, 'c-token')

    await page.goto(`${preview}/`)
    await page.waitForFunction(() => document.querySelector('#answer')?.textContent.includes('no_answer'))
    check('a preview may not ask with a cookie (credentials: include)', true)
    const read = await page.evaluate(async (api) => {
      const answer = await fetch(`${api}/api/users`)
      return (await answer.json()).message
    }, api)
    check('a preview calls and reads without one', read === 'Welcome from AUTH service', read)
  },
}

execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', '/CN=example', '-keyout', `${folder}/key.pem`, '-out', `${folder}/cert.pem`], { stdio: 'ignore' })
const wanted = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(shapes)
let failed = false
for (const name of wanted) {
  shape = name
  console.log(`shape ${name}`)
  try {
    await shapes[name]()
  } catch (error) {
    failed = true
    console.log(`  FAILED  ${error.message}\n          on the page: ${await text()}`)
  }
  await stopAll()
}
if (failed) {
  console.error(`Something differs. The logs are in ${folder}`)
  process.exit(1)
}
rmSync(folder, { recursive: true })
console.log('All of it works.')
