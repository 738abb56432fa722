import { once } from 'node:events'
import { mkdir, readFile, readlink, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { containerIdOf, type Session } from '@ai-orchestration/protocol'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { checkRootfs } from '../rootfs/rootfs.ts'
import { DEFAULT_LIMITS } from './cgroups.ts'
import { type ExpectedIsolation, missingIsolation } from './isolation.ts'
import { openCgroups } from './open-cgroups.ts'
import { shortHash } from './paths.ts'
import { loadSeccompProfile } from './seccomp.ts'
import { TestMachine } from './test-machine.ts'
import { UID_BASE } from './uid-range.ts'

let machine: TestMachine
let session: Session

beforeAll(async () => {
  machine = await TestMachine.start()
  await machine.project('demo')
  session = await machine.create({ projectId: 'demo', name: 'one' })
}, 30_000)
afterAll(async () => await machine[Symbol.asyncDispose]())

const inside = async (script: string) => (await machine.inside(session.id, script)).out

const EPERM = 1
const ENOSYS = 38
/** errno of system calls of x86-64, by number and arguments; 0 means that it was allowed. */
const PROBES: Record<string, [call: string, errno: number]> = {
  mount: ['165, $s, $s, $s, 0, 0', EPERM],
  umount2: ['166, $s, 0', EPERM],
  pivot_root: ['155, $s, $s', EPERM],
  chroot: ['161, $s', EPERM],
  unshare: ['272, 0x10000000', EPERM],
  setns: ['308, 0, 0', EPERM],
  ptrace: ['101, 0, 0, 0, 0', EPERM],
  process_vm_readv: ['310, 1, 0, 0, 0, 0, 0', EPERM],
  keyctl: ['250, 0, -3, 0', EPERM],
  add_key: ['248, $s, $s, $s, 1, -3', EPERM],
  request_key: ['249, $s, $s, 0, -3', EPERM],
  bpf: ['321, 0, 0, 0', EPERM],
  perf_event_open: ['298, 0, 0, 0, 0, 0', EPERM],
  userfaultfd: ['323, 0', EPERM],
  io_uring_setup: ['425, 1, 0', ENOSYS],
  kexec_load: ['246, 0, 0, 0, 0', EPERM],
  open_tree: ['428, -100, $s, 0', EPERM],
  move_mount: ['429, 0, $s, 0, $s, 0', EPERM],
  fsopen: ['430, $s, 0', EPERM],
  fsconfig: ['431, 0, 0, 0, 0, 0', EPERM],
  fsmount: ['432, 0, 0, 0', EPERM],
  mount_setattr: ['442, -100, $s, 0, 0, 0', EPERM],
  clone_newuser: ['56, 0x10000011, 0, 0, 0, 0', EPERM],
  clone_newnet: ['56, 0x40000011, 0, 0, 0, 0', EPERM],
  clone3: ['435, 0, 0', ENOSYS],
  socket_alg: ['41, 38, 5, 0', EPERM],
  socket_vsock: ['41, 40, 1, 0', EPERM],
  socket_packet: ['41, 17, 3, 0', EPERM],
  socket_raw: ['41, 2, 3, 1', EPERM],
  socket_netlink_audit: ['41, 16, 3, 9', ENOSYS],
  personality: ['135, 0x0040000', ENOSYS],
  swapon: ['167, $s, 0', EPERM],
  acct: ['163, $s', EPERM],
  nfsservctl: ['180, 0, 0, 0', EPERM],
  mknod_device: ['133, $s, 0020666, 259', EPERM],
  open_by_handle_at: ['304, 0, 0, 0', EPERM],
  reboot: ['169, 0, 0, 0, 0', EPERM],
  init_module: ['175, 0, 0, $s', EPERM],
  sethostname: ['170, $s, 1', EPERM],
  settimeofday: ['164, 0, 0', EPERM],
}

describe.runIf(process.arch === 'x64')('I-06 system calls', () => {
  it('are refused with exactly these errors', async () => {
    const calls = Object.entries(PROBES).map(
      ([name, [call]]) => `$! = 0; syscall(${call}); print "${name} ", $! + 0, "\\n";`,
    )
    const { out } = await machine.inside(session.id, `perl -e 'my $s = "x"; ${calls.join(' ')}'`)
    const found = Object.fromEntries(out.split('\n').map((line) => [line.split(' ')[0], Number(line.split(' ')[1])]))
    expect(found).toEqual(Object.fromEntries(Object.entries(PROBES).map(([name, [, errno]]) => [name, errno])))
  })
  it('that programs need are allowed', async () => {
    const out = await inside(
      'mkfifo /tmp/fifo && sleep 0.01 & wait; perl -MSocket -e "socket(S, AF_INET, SOCK_STREAM, 0) or die; socket(U, AF_UNIX, SOCK_STREAM, 0) or die; print qq(sockets )"; bash -c "(echo subshell)"',
    )
    expect(out).toContain('sockets')
    expect(out).toContain('subshell')
  })
})

describe('I-01, I-02 the process', () => {
  it('is filtered, without capabilities, and mapped to an unprivileged user', async () => {
    const status = await inside('cat /proc/self/status /proc/self/uid_map /proc/self/gid_map')
    expect(status).toMatch(/^Seccomp:\t2$/m)
    expect(status).toMatch(/^NoNewPrivs:\t1$/m)
    for (const name of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'])
      expect(status).toMatch(new RegExp(`^${name}:\\t0+$`, 'm'))
    const [first] = status.match(/^\s+0 \d+\s+65536$/gm) ?? []
    expect(Number(first?.trim().split(/\s+/)[1])).toBeGreaterThan(UID_BASE)
  })
  it('shares no namespace with the host or a sibling', async () => {
    const sibling = await machine.create({ projectId: 'demo', name: 'sibling' })
    const list = 'cd /proc/self/ns && for n in cgroup ipc mnt net pid user uts; do readlink $n; done'
    const [mine, theirs] = [(await inside(list)).split('\n'), (await machine.inside(sibling.id, list)).out.split('\n')]
    const hosts = await Promise.all(
      ['cgroup', 'ipc', 'mnt', 'net', 'pid', 'user', 'uts'].map((name) => readlink(`/proc/self/ns/${name}`)),
    )
    expect(mine).toHaveLength(7)
    expect(new Set([...mine, ...theirs, ...hosts]).size).toBe(21)
    await machine.terminate(sibling.id)
  })
  it('is limited as it should be, and what is not is named (I-7)', async () => {
    const pid = (await machine.pidOf(session.id)) ?? 0
    const name = containerIdOf(session.id)
    const expected: ExpectedIsolation = {
      limits: DEFAULT_LIMITS,
      uidBase: Number((await readFile(`/proc/${pid}/uid_map`, 'utf8')).trim().split(/\s+/)[1]),
      group: `/aio-${shortHash(machine.run)}-${name}`,
      isRootOwn: false,
      stateFile: machine.runc.stateFile(name),
    }
    const missing = (of: number, changed: Partial<ExpectedIsolation> = {}) =>
      missingIsolation(of, { ...expected, ...changed }, openCgroups())
    expect(missing(pid)).toEqual([])
    expect(missing(pid, { limits: { ...DEFAULT_LIMITS, pids: 5 } })).toEqual([expect.stringContaining('processes')])
    expect(missing(pid, { uidBase: UID_BASE })).toEqual([
      expect.stringContaining('user'),
      expect.stringContaining('user namespace'),
    ])
    expect(missing(pid, { group: '/' }).join('; ')).toMatch(/control group/)
    expect(missing(pid, { stateFile: '/nonexistent' })).toEqual([expect.stringContaining('record')])
    expect(missing(process.pid).join('; ')).toMatch(
      /seccomp.*user namespace.*pid namespace.*\/proc\/keys.*write to \/,.*control group/,
    )
  })
  it('gains nothing from set-user-id programs', async () => {
    expect(
      await inside('cp /usr/bin/id /tmp/id && chmod u+s /tmp/id && /tmp/id -u; su -c id 2>&1 | tail -1'),
    ).not.toMatch(/^0|uid=0/m)
  })
})

describe('I-04, I-07, I-08, I-10 what it sees', () => {
  it('only its own processes', async () => {
    const names = (await inside('ps -e -o comm= | sort -u')).split('\n')
    expect(names.filter((name) => !['bash', 'ps', 'sh', 'sort', 'tini'].includes(name))).toEqual([])
    expect(names).toContain('tini')
    expect((await machine.inside(session.id, `kill -0 ${process.pid}`)).exitCode).not.toBe(0)
  })
  it('nothing of the kernel’s that is dangerous', async () => {
    const out = await inside(
      'for f in /proc/kcore /proc/keys /proc/timer_list /sys/firmware /sys/fs/cgroup; do echo "$f $(cat $f 2>/dev/null | wc -c) $(ls -A $f 2>/dev/null | wc -l)"; done; for f in /proc/sysrq-trigger /proc/sys/kernel/core_pattern /sys/kernel/mm/ksm/run; do (echo x > $f) 2>/dev/null && echo "WROTE $f"; done',
    )
    expect(out).not.toContain('WROTE')
    for (const line of out.split('\n')) expect(line).toMatch(/^\/\S+ 0 [01]$/)
  })
  it('nothing of the host’s files', async () => {
    const canary = join(machine.dir, 'canary')
    await writeFile(canary, 'secret')
    const out = await inside(
      `ls -A / ; cat ${canary} /etc/shadow /proc/1/root/${canary} 2>&1 | grep -c secret; ls -d /work /tmp/aio* ${machine.run} /var/lib /boot /mnt /srv /var/run/docker.sock 2>/dev/null; ls -A /root; ls -A /home; mount | grep -c ${machine.dir}`,
    )
    const allowed =
      'bin dev etc home lib lib32 lib64 libx32 opt proc project root run sbin sys tmp usr var agent 0'.split(' ')
    expect(out.split('\n').filter((name) => !allowed.includes(name))).toEqual([])
  })
  it('no secret of the orchestrator, and a hostname that is the session’s', async () => {
    const env = await inside('env; hostname')
    expect(env).not.toMatch(/TOKEN|API_KEY|SECRET/)
    expect(env).not.toContain(`HOSTNAME=${hostname()}`)
  })
  it('no socket of the host, by name or by file, and no terminal server (I-09, I-16)', async () => {
    const server = createServer().listen(`\0aio-probe-${process.pid}`)
    await once(server, 'listening')
    const script = `use Socket; socket(S, AF_UNIX, SOCK_STREAM, 0); print connect(S, pack_sockaddr_un("\\0aio-probe-${process.pid}")) ? "reached" : $! + 0`
    expect(await inside(`perl -e '${script}'`)).toBe('111')
    server.close()
    const out = await inside(
      'echo "[$TMUX$TMUX_PANE$DBUS_SESSION_BUS_ADDRESS]"; find / -type s 2>/dev/null; cat /proc/net/unix | tail -n +2',
    )
    expect(out).toBe('[]')
    // A title that tmux would run as a command, were it a format.
    await inside(`printf '\\033]2;#(touch ${machine.dir}/planted)\\007' > /proc/1/fd/1`)
    await sleep(300)
    await machine.tmux.list()
    await expect(readFile(join(machine.dir, 'planted'))).rejects.toMatchObject({ code: 'ENOENT' })
  })
  it('no way round its mounts: links, binds, other roots and other processes (I-07, I-08)', async () => {
    const canary = join(machine.dir, 'canary')
    const errors = await inside(
      [
        `ln ${canary} /tmp/hard`,
        `ln -s ${canary} /tmp/soft; cat /tmp/soft`,
        'mount --bind / /tmp',
        `cat /proc/1/root${canary}`,
        'cat /proc/1/cwd/../../../../../../../../../etc/shadow',
        `kill -9 ${process.pid}`,
        'chroot / true',
        'ls /proc/1/fdinfo > /dev/null; cat /proc/1/mem | head -c 1',
      ]
        .map((line) => `(${line}) >/dev/null 2>&1 && echo "WENT: ${line.slice(0, 20)}"`)
        .join('; '),
    )
    expect(errors).not.toMatch(/WENT: (ln \/|mount|cat|kill|chroot)/)
  })
  it('nothing that belongs to another session: neither its processes nor its files (I-02, I-06)', async () => {
    const sibling = await machine.create({ projectId: 'demo', name: 'beside' })
    const pid = (await machine.pidOf(sibling.id)) ?? 0
    const [mine, theirs] = await Promise.all(
      [await machine.pidOf(session.id), pid].map(async (of) => (await readFile(`/proc/${of}/uid_map`, 'utf8')).trim()),
    )
    expect(mine).not.toBe(theirs)
    expect((await machine.inside(session.id, `kill -0 ${pid}; ls /proc/${pid}`)).exitCode).not.toBe(0)
    await machine.terminate(sibling.id)
  })
  it('no network but loopback', async () => {
    expect(await inside('ls /sys/class/net; ls -A /run /var/run')).toBe('lo\n/run:\n\n/var/run:')
    expect((await machine.inside(session.id, 'bash -c "echo > /dev/tcp/169.254.169.254/80"')).exitCode).not.toBe(0)
  })
  it('a root filesystem and objects it cannot write to, and a /tmp it can', async () => {
    const out = await inside(
      'for d in / /etc /usr /opt/agents /project /project/.objects /sys /dev/shm /tmp /home/agent /project/demo_one; do touch $d/probe 2>/dev/null && echo $d; done; stat -c %a /tmp',
    )
    expect(out.split('\n')).toEqual(['/dev/shm', '/tmp', '/home/agent', '/project/demo_one', '1777'])
  })
})

describe('I-12 limits', () => {
  it('a fork storm ends at the limit, commits come home meanwhile, and afterwards the session answers again', async () => {
    await inside('git commit -q --allow-empty -m before-the-storm')
    await inside('(for i in $(seq 700); do sleep 6 & done) >/dev/null 2>&1 &')
    await machine.sessions.bringHome(session.id)
    expect(await machine.git('demo', 'log', '-1', '--format=%s', 'feature/one')).toBe('before-the-storm')
    expect((await machine.sessions.workAtRisk(session.id)).operations).toEqual([])
    // tini collects what ends, so that the limit is free again.
    const deadline = performance.now() + 20_000
    while ((await machine.inside(session.id, 'echo alive')).out !== 'alive') {
      if (performance.now() > deadline) throw new Error('the session does not answer any more')
      await sleep(200)
    }
  })
})

describe('I-05 a hostile root filesystem', () => {
  const build = async (name: string, change: (root: string) => Promise<void>) => {
    const root = join(machine.dir, name)
    for (const dir of ['dev', 'proc', 'sys', 'tmp', 'project', 'home/agent', 'opt/agents', 'etc', 'usr/bin'])
      await mkdir(join(root, dir), { recursive: true })
    await writeFile(join(root, 'usr/bin/tini'), '')
    await change(root)
    return root
  }
  it('is used when it is a harmless one', async () => {
    const root = await build('good', async (dir) => await symlink('/proc/self/fd', join(dir, 'dev/fd')))
    await expect(checkRootfs(root)).resolves.toBeUndefined()
  })
  it.each(['null', 'pts', 'console', 'fd'])('/dev/%s as a link is refused', async (name) => {
    const root = await build(`link-${name}`, async (dir) => await symlink('/proc/sys/kernel', join(dir, 'dev', name)))
    await expect(checkRootfs(root)).rejects.toMatchObject({
      code: 'ISOLATION_UNAVAILABLE',
      message: expect.stringContaining(`/dev/${name}`),
    })
  })
  it.each(['dev', 'proc', 'sys', 'tmp', 'project'])('/%s as a link is refused', async (name) => {
    const root = join(machine.dir, `top-${name}`)
    for (const dir of ['dev', 'proc', 'sys', 'tmp', 'project', 'home/agent', 'opt/agents', 'etc', 'usr/bin'])
      if (dir !== name) await mkdir(join(root, dir), { recursive: true })
    await symlink('/', join(root, name))
    await expect(checkRootfs(root)).rejects.toMatchObject({ code: 'ISOLATION_UNAVAILABLE' })
  })
})

describe('the filter', () => {
  it('is for the native architecture only', () => {
    expect(loadSeccompProfile('x64')['architectures']).toEqual(['SCMP_ARCH_X86_64'])
    expect(loadSeccompProfile('arm64')['architectures']).toEqual(['SCMP_ARCH_AARCH64'])
    expect(() => loadSeccompProfile('riscv64')).toThrow(/no system call filter/)
  })
})
