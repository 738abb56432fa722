import { chmod, mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { AioError } from '@ai-orchestration/protocol'
import { createClient } from '@ai-orchestration/sdk'
import type { Cli } from '../cli.ts'
import { findRelay, isLoopback, type Login, loginFile, reachableAddress, webAddress } from '../relay-address.ts'
import { readSecret } from '../stdin.ts'

/** `aio login [URL] [--code C | --token -]`: keeps a device token, or makes a link for another device. */
export async function login(cli: Cli, address: string | undefined, options: { code?: string }): Promise<void> {
  const { url: given, code: codeInLink } = splitLink(address)
  const code = options.code ?? codeInLink
  if (given === undefined && code === undefined && cli.flags.token === undefined) return showLink(cli)
  const { url } = await findRelay(cli.config, { relay: given ?? cli.flags.relay })
  const secret = code === undefined ? { token: await askToken(cli) } : { code }
  await using aio = createClient({ url })
  const { token, tokenId, roles } = await cli.within(
    aio.auth.exchange.mutate({ ...secret, deviceName: `aio on ${hostname()}` }),
  )
  await keep(cli, { url, token, tokenId })
  cli.out.result({ url, tokenId, roles }, (done) => `Logged in at ${webAddress(done.url)} as ${done.roles.join(', ')}.`)
}

/** `aio logout`: revokes the kept token and forgets it. */
export async function logout(cli: Cli): Promise<void> {
  const { url, token, tokenFrom } = await findRelay({ ...cli.config, token: undefined }, { relay: cli.flags.relay })
  if (tokenFrom !== 'login') throw new AioError('NOT_FOUND', 'Nobody is logged in here; there is nothing to forget.')
  await using aio = createClient({ url, token })
  try {
    await cli.within(aio.auth.logout.mutate())
  } catch (thrown) {
    // A token that the relay no longer knows is as good as revoked.
    if (!(thrown instanceof AioError) || thrown.code !== 'UNAUTHORIZED') throw thrown
  }
  await rm(loginFile(cli.config), { force: true })
  cli.out.result({ url }, () => `Logged out at ${webAddress(url)}; the token was revoked.`)
}

async function showLink(cli: Cli): Promise<void> {
  const { url } = await cli.address()
  const { code, expiresAt } = await cli.withClient((aio) => aio.auth.createCode.mutate())
  const address = reachableAddress(url, cli.config.host)
  const isOpen = !isLoopback(address)
  const link = `${address}/login#code=${code}`
  const picture = isOpen && !cli.out.isJson ? await qrCode(link) : undefined
  cli.out.result({ url: link, expiresAt }, () => {
    const lines = [`Open this link within five minutes; it works once:`, `  ${link}`]
    if (picture !== undefined) lines.push(picture)
    else
      lines.push(
        'For a phone or another machine, let the relay listen beyond this one: HOST=0.0.0.0 AUTH_TOKEN=… aio up (behind TLS).',
      )
    return lines.join('\n')
  })
}

/** A QR code as text, for a phone's camera. */
export async function qrCode(text: string): Promise<string> {
  const { renderUnicodeCompact } = await import('uqr')
  return renderUnicodeCompact(text, { border: 1 })
}

async function askToken(cli: Cli): Promise<string> {
  const { token } = cli.flags
  if (token !== undefined && token !== '-') return token
  const text = (await readSecret('Token: ')).trim()
  if (text !== '') return text
  throw new AioError('INVALID_INPUT', 'No token came on standard input. Pipe one in, or give --code.')
}

function splitLink(address: string | undefined): { url: string | undefined; code: string | undefined } {
  const match = /^(.*?)(?:\/login)?#code=([^&]+)$/.exec(address ?? '')
  return match === null ? { url: address, code: undefined } : { url: match[1], code: match[2] }
}

async function keep(cli: Cli, login: Login): Promise<void> {
  const path = loginFile(cli.config)
  await mkdir(cli.config.aioHome, { recursive: true, mode: 0o700 })
  const draft = `${path}.${process.pid}`
  await writeFile(draft, `${JSON.stringify(login)}\n`, { mode: 0o600 })
  await chmod(draft, 0o600)
  await rename(draft, path)
}
