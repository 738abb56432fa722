import { expect, test } from 'vitest'
import { aboutOf, checkedInput, refuseAdminCommand, refuseLocalClone } from './built-in.ts'

test('keys that could reach a prototype are dropped from what custom commands get, at any depth (B-08)', () => {
  const input: unknown = JSON.parse('{"a":[{"__proto__":{"polluted":1},"b":1}],"constructor":{"prototype":{}}}')
  expect(JSON.stringify(checkedInput('custom', input))).toBe('{"a":[{"b":1}]}')
  expect(Reflect.get({}, 'polluted')).toBeUndefined()
})

test('a command is about the project and session that it names or will make', () => {
  expect(aboutOf('create_project', { name: 'web' })).toEqual({ projectId: 'web' })
  expect(aboutOf('create_project', { repoUrl: 'https://example.org/a/Web.git' })).toEqual({ projectId: 'web' })
  expect(aboutOf('create_session', { projectId: 'web', name: 'x' })).toEqual({ projectId: 'web', sessionId: 'web_x' })
  expect(aboutOf('terminate_session', { sessionId: 'web_x' })).toEqual({ projectId: 'web', sessionId: 'web_x' })
  for (const projectId of [7, '../etc', '__proto__']) expect(aboutOf('custom', { projectId })).toEqual({})
})

test('local paths are cloned for admins only', () => {
  for (const repoUrl of ['/srv/a', 'file:///srv/a']) {
    expect(() => refuseLocalClone('create_project', { repoUrl }, false)).toThrow(/admin/)
    expect(() => refuseLocalClone('create_project', { repoUrl }, true)).not.toThrow()
  }
  expect(() => refuseLocalClone('create_project', { repoUrl: 'https://example.org/a' }, false)).not.toThrow()
})

test('a root filesystem is built for admins only, also when it is asked for by name', () => {
  expect(() => refuseAdminCommand('build_rootfs', false)).toThrow(/admin/)
  expect(() => refuseAdminCommand('build_rootfs', true)).not.toThrow()
  expect(() => refuseAdminCommand('rootfs_info', false)).not.toThrow()
})
