import { FleetPage } from '../fleet/fleet-page.tsx'

export default FleetPage
