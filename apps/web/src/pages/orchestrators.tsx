import { OrchestratorsPage } from '../orchestrators/orchestrators-page.tsx'

export default OrchestratorsPage
