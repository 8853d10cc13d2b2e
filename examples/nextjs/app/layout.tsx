import type { ReactNode } from 'react'

export const metadata = { title: '게이트웨이 예제' }

export default function Layout({ children }: { children: ReactNode }) {
  return (
    <html lang="ko">
      <body style={{ font: '1rem/1.6 system-ui, sans-serif', maxWidth: '44rem', margin: '2rem auto', padding: '0 1rem' }}>
        {children}
      </body>
    </html>
  )
}
