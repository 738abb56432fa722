import type { Projects } from '../project/projects.ts'
import type { Sessions } from '../session/sessions.ts'
import type { BudgetSessions } from './budgets.ts'

/** Sessions and projects as budgets see them. */
export function budgetSessions(projects: Projects, sessions: Sessions): BudgetSessions {
  return {
    planOf: (sessionId) => {
      const project = projects.get(sessions.get(sessionId)?.projectId ?? '')
      return { session: project?.budget?.session, project: project?.budget?.project }
    },
    createdAt: (sessionId) => sessions.get(sessionId)?.createdAt,
    ofProject: (projectId) => sessions.list(projectId).map(({ id }) => id),
    directoryOf: (projectId) => projects.paths(projectId).dir,
    freeze: async (sessionId) => {
      await sessions.pause(sessionId, 'budget')
    },
    thaw: async (sessionId) => {
      // Whoever has paused it for another reason lets it go on.
      if (sessions.get(sessionId)?.pause?.reason === 'budget') await sessions.resume(sessionId)
    },
  }
}
