import { describe, expect, it } from 'vitest'
import { DEFAULT_LIMITS } from './cgroups.ts'
import { type ContainerSpec, containerConfig } from './container.ts'
import { sessionPaths } from './paths.ts'
import { loadSeccompProfile } from './seccomp.ts'
import { UID_BASE } from './uid-range.ts'

const spec: ContainerSpec = {
  hostname: 'one',
  argv: ['/bin/bash'],
  cwd: '/project/demo_one',
  env: { ANTHROPIC_API_KEY: 'placeholder' },
  hasTerminal: true,
  rootfs: '/run/aio/rootfs',
  binds: [{ source: '/p', destination: '/project/demo_one', isWritable: true }],
  limits: DEFAULT_LIMITS,
  uidBase: UID_BASE,
  canLimitSwap: true,
  cgroup: '/aio-x-claude-demo_one',
  seccomp: loadSeccompProfile('x64'),
}

describe('a container’s configuration', () => {
  it('is isolated in every way there is', () => {
    expect(containerConfig(spec)).toMatchObject({
      ociVersion: '1.0.2',
      root: { readonly: true },
      process: {
        user: { uid: 1000, gid: 1000 },
        args: ['/usr/bin/tini', '--', '/bin/bash'],
        capabilities: { bounding: [], effective: [], inheritable: [], permitted: [], ambient: [] },
        noNewPrivileges: true,
      },
      linux: {
        namespaces: ['user', 'pid', 'ipc', 'uts', 'mount', 'cgroup', 'network'].map((type) => ({ type })),
        resources: {
          devices: [{ allow: false, access: 'rwm' }],
          memory: { limit: 2 * 1024 ** 3, swap: 2 * 1024 ** 3 },
          pids: { limit: 512 },
          cpu: { quota: 150_000, period: 100_000 },
        },
        seccomp: { defaultAction: 'SCMP_ACT_ERRNO', architectures: ['SCMP_ARCH_X86_64'] },
      },
    })
  })
  it('mounts nothing where set-user-id programs or devices would count', () => {
    const { mounts } = containerConfig(spec) as { mounts: { destination: string; options: string[] }[] }
    for (const { destination, options } of mounts) {
      expect(options, destination).toContain('nosuid')
      if (!destination.startsWith('/dev')) expect(options, destination).toContain('nodev')
    }
  })
  it('does not ask for more open files than it may', () => {
    const { process } = containerConfig(spec) as { process: { rlimits: { type: string; hard: number }[] } }
    const files = process.rlimits.find(({ type }) => type === 'RLIMIT_NOFILE')
    expect(files?.hard).toBeLessThanOrEqual(65_536)
    expect(files?.hard).toBeGreaterThan(0)
  })
  it('leaves swap out where the kernel does not count it', () => {
    expect(containerConfig({ ...spec, canLimitSwap: false })).toMatchObject({
      linux: { resources: { memory: { limit: 2 * 1024 ** 3 } } },
    })
    expect(JSON.stringify(containerConfig({ ...spec, canLimitSwap: false }))).not.toContain('"swap"')
  })
})

describe('paths', () => {
  it('keep a socket of the longest session under 107 characters, with the longest AIO_RUN allowed', () => {
    const name = 'x'.repeat(40)
    const project = { dir: '/p', repo: '/p/.repo', bundles: '/p/.bundles', bases: '/p/.bases' }
    const { run } = sessionPaths(project, `/${'r'.repeat(59)}`, `${name}_${name}`)
    expect(`${run}/some-socket.sock`.length).toBeLessThan(107)
  })
})
