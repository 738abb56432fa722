import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type CliConfig, loadConfig } from './config.ts'
import { findRelay, reachableAddress } from './relay-address.ts'

let aioHome = ''
let config: CliConfig

beforeEach(async () => {
  aioHome = await mkdtemp(join(tmpdir(), 'aio-address-'))
  config = loadConfig({ AIO_HOME: aioHome, RELAY_URL: '', AUTH_TOKEN: '' })
})

afterEach(() => rm(aioHome, { recursive: true }))

const write = (name: string, value: unknown) =>
  writeFile(join(aioHome, name), typeof value === 'string' ? value : JSON.stringify(value))

test('flag, then variable, then login, then the running relay, then the default', async () => {
  expect(await findRelay(config, {})).toEqual({ url: 'ws://localhost:3000/ws', token: undefined, tokenFrom: 'nowhere' })
  await write('token', 'machine-token\n')
  await write('relay.json', { url: 'http://localhost:4000', pid: 1, version: '0' })
  expect(await findRelay(config, {})).toEqual({
    url: 'ws://localhost:4000/ws',
    token: 'machine-token',
    tokenFrom: 'machine',
  })
  await write('login.json', { url: 'wss://relay.example/ws', token: 'login-token' })
  expect(await findRelay(config, {})).toEqual({
    url: 'wss://relay.example/ws',
    token: 'login-token',
    tokenFrom: 'login',
  })
  const variables = { ...config, relayUrl: 'ws://127.0.0.1:5000/ws', token: 'variable-token' }
  expect(await findRelay(variables, {})).toEqual({
    url: 'ws://127.0.0.1:5000/ws',
    token: 'variable-token',
    tokenFrom: 'variable',
  })
  expect(await findRelay(variables, { relay: 'http://[::1]:6000', token: 'flag-token' })).toEqual({
    url: 'ws://[::1]:6000/ws',
    token: 'flag-token',
    tokenFrom: 'flag',
  })
})

test('a kept token is never sent to another relay', async () => {
  await write('token', 'machine-token')
  await write('login.json', { url: 'wss://relay.example/ws', token: 'login-token' })
  expect((await findRelay(config, { relay: 'wss://other.example/ws' })).token).toBeUndefined()
  expect((await findRelay(config, { relay: 'ws://relay.example/ws' })).token).toBeUndefined()
  expect((await findRelay(config, { relay: 'ws://localhost:7000/ws' })).token).toBe('machine-token')
})

test('what is not an address is refused with what one looks like', async () => {
  for (const relay of ['localhost:3000', 'ftp://x', 'no address'])
    await expect(findRelay(config, { relay })).rejects.toMatchObject({ code: 'INVALID_INPUT' })
  await write('login.json', '{')
  await expect(findRelay(config, {})).rejects.toMatchObject({ code: 'INVALID_INPUT' })
})

test('a relay on every address is named by that of a network card, for a phone', () => {
  const card = { address: '192.0.2.7', family: 'IPv4' as const, internal: false, netmask: '', mac: '', cidr: null }
  expect(reachableAddress('ws://localhost:3000/ws', '0.0.0.0', { eth0: [card] })).toBe('http://192.0.2.7:3000')
  expect(reachableAddress('ws://localhost:3000/ws', '127.0.0.1', { eth0: [card] })).toBe('http://localhost:3000')
  expect(reachableAddress('wss://relay.example/ws', '127.0.0.1', {})).toBe('https://relay.example')
})
