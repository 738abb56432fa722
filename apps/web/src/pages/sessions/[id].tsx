import { SessionPage } from '../../session/session-page.tsx'

export default SessionPage
