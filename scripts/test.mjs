// `npm test`: sets up what is missing, then runs every check and test. The last line is `N passed, N failed`.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { root, SetupError, setUp, withNode24 } from './setup.mjs'

try {
  await setUp({
    programs: { chromium: 'chromium', jq: 'jq', mmdebstrap: 'mmdebstrap', bwrap: 'bubblewrap', ip: 'iproute2' },
  })
} catch (error) {
  console.error(error instanceof SetupError ? error.message : error)
  console.log('0 passed, 1 failed')
  process.exit(1)
}

const env = withNode24()
const chosen = process.argv.slice(2)
const check =
  chosen.length === 0 ? spawnSync('npm', ['run', '--silent', 'check'], { cwd: root, env, stdio: 'inherit' }).status : 0
console.log(check === 0 ? 'check: passed' : 'check: failed; `npm run fix` mends what can be mended')

const report = join(mkdtempSync(join(tmpdir(), 'aio-test-')), 'report.json')
const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
const vitest = spawnSync(join(root, 'node_modules/.bin/vitest'), ['run', ...reporters, ...chosen], {
  cwd: root,
  env,
  stdio: 'inherit',
})

const counted = existsSync(report) ? JSON.parse(readFileSync(report, 'utf8')) : { numPassedTests: 0, numFailedTests: 1 }
const skipped = (counted.numPendingTests ?? 0) + (counted.numTodoTests ?? 0)
// A file that cannot even be loaded has no failed test of its own, and is a failure all the same.
const broken = Math.max(counted.numFailedTests, (counted.numFailedTestSuites ?? 0) > 0 || vitest.status !== 0 ? 1 : 0)
const passed = counted.numPassedTests + (check === 0 && chosen.length === 0 ? 1 : 0)
const failed = broken + (check === 0 ? 0 : 1)
console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`)
process.exit(failed === 0 ? 0 : 1)
