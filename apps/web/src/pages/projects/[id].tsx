import { ProjectPage } from '../../project/project-page.tsx'

export default ProjectPage
